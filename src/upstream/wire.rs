//! The bytes of a connection to an upstream, in the clear or in TLS.
//!
//! They are counted where the socket takes them, below TLS: what TLS has taken and keeps has not left.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::{self, ClientStream, Protocol};

/// A stream to an upstream.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(Counted),
    Secured(Box<ClientStream<Counted>>),
}

/// A socket that counts what it has taken.
#[derive(Debug)]
pub(super) struct Counted {
    socket: TcpStream,
    written: u64,
}

impl Wire {
    /// Connects, and shakes hands where that is asked for.
    pub(super) async fn open(
        (host, port): (String, u16),
        secure: Option<tls::Client>,
    ) -> io::Result<Self> {
        let socket = TcpStream::connect((host.as_str(), port)).await?;
        socket.set_nodelay(true)?;
        let counted = Counted { socket, written: 0 };
        match secure {
            None => Ok(Self::Plain(counted)),
            Some(client) => Ok(Self::Secured(Box::new(client.connect(counted).await?))),
        }
    }

    /// Bytes that the socket has taken so far, those of a handshake among them.
    pub(super) fn written(&self) -> u64 {
        self.counted().written
    }

    /// Looks whether the other side has neither closed it nor said anything that was not read.
    ///
    /// The kernel is asked, not the runtime, which may not have heard yet. With TLS 1.3 a late session
    /// ticket counts as something said: that costs a connection and nothing else.
    pub(super) fn is_silent(&self) -> bool {
        match SockRef::from(self.socket()).peek(&mut [MaybeUninit::uninit()]) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// True if TLS keeps nothing that was not read yet, and its other side has not ended it.
    pub(super) fn is_drained(&mut self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Secured(stream) => stream.get_mut().1.process_new_packets().is_ok_and(|state| {
                state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed()
            }),
        }
    }

    /// What was agreed on by ALPN.
    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::Plain(_) => Protocol::Http1,
            Self::Secured(stream) => tls::Client::protocol(stream),
        }
    }

    /// What is below TLS.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.counted().socket
    }

    fn counted(&self) -> &Counted {
        match self {
            Self::Plain(counted) => counted,
            Self::Secured(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(counted) => Pin::new(&mut counted.socket).poll_read(context, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(counted) => Pin::new(counted).poll_write(context, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(counted) => Pin::new(counted).poll_flush(context),
            Self::Secured(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(counted) => Pin::new(counted).poll_shutdown(context),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(context, bytes);
        if let Poll::Ready(Ok(taken)) = &wrote {
            self.written += *taken as u64;
        }
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(context, buffers);
        if let Poll::Ready(Ok(taken)) = &wrote {
            self.written += *taken as u64;
        }
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

//! Waiting until sockets can be read, to the nanosecond: epoll without a runtime.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Sockets that are taken from the kernel at once.
const EVENTS_MAX: usize = 512;

pub struct Readiness {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Readiness {
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Tells of the socket under this number as long as something is to be read. Closing it ends that.
    pub fn watch(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(number as u64), EventFlags::IN)?;
        Ok(())
    }

    /// The numbers of sockets that can be read, after `limit` at the latest.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<impl Iterator<Item = usize>> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.drain(..).map(|event| event.data.u64() as usize))
    }
}

//! Signals that a command listens for, from before it tells anybody that it is there.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// Ctrl-C and SIGTERM.
#[derive(Debug)]
pub(super) struct Stops {
    /// Without a handler the signals end the process by themselves.
    signals: Option<(Signal, Signal)>,
}

impl Stops {
    /// Listens from now on.
    pub(super) fn listen() -> Self {
        let interrupt = signal(SignalKind::interrupt());
        let terminate = signal(SignalKind::terminate());
        Self { signals: interrupt.ok().zip(terminate.ok()) }
    }

    /// Waits for the next one; gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        let Some((interrupt, terminate)) = &mut self.signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    }
}

/// A hangup ends a process that has no ear for it; we only say that it does nothing.
pub(super) fn survive_hangups() -> JoinHandle<()> {
    let hangups = signal(SignalKind::hangup());
    tokio::spawn(async move {
        let Ok(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() {
            tracing::warn!(
                target: "latimer::signals", signal = "SIGHUP",
                "ignored: the configuration is read at the start only"
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_before_anybody_waits_is_not_lost() {
        let mut stops = Stops::listen();
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &own]).status().unwrap();
        assert!(sent.success());
        assert_eq!(stops.next().await, "SIGTERM");
    }
}

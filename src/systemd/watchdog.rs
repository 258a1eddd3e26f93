//! A sign of life for the service manager, for as long as there is life.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, timeout};

use crate::systemd::Notify;

/// Tells the service manager that we are alive, twice in the time that it grants and only while a pulse is
/// felt. Runs until it is dropped.
pub async fn watch<F>(notify: Arc<Notify>, granted: Duration, felt: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let half = granted / 2;
    let mut ticks = tokio::time::interval(half);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut feeling = pin!(felt());
        let alive = match timeout(half, &mut feeling).await {
            Ok(alive) => alive,
            Err(_) => {
                tracing::error!(target: "latimer::systemd", "a worker hangs: the watchdog is told nothing");
                // Waited for and not asked again: whoever hangs is not to find a heap of questions.
                feeling.await
            }
        };
        if alive {
            notify.alive();
        } else {
            tracing::error!(target: "latimer::systemd", "a worker has ended by itself: the watchdog is told nothing");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_is_a_word_only_while_there_is_a_pulse() {
        let (mouth, ear) = UnixDatagram::pair().unwrap();
        ear.set_nonblocking(true).unwrap();
        let heard = || {
            let mut word = [0; 64];
            let mut words = 0;
            while let Ok(length) = ear.recv(&mut word) {
                assert_eq!(&word[..length], b"WATCHDOG=1\n");
                words += 1;
            }
            words
        };
        let pulse = Arc::new(AtomicBool::new(true));
        let felt = Arc::clone(&pulse);
        let granted = Duration::from_secs(2);
        let watching = tokio::spawn(watch(Arc::new(Notify::to(mouth)), granted, move || {
            let felt = Arc::clone(&felt);
            async move { felt.load(Ordering::Relaxed) }
        }));
        sleep(Duration::from_millis(3_500)).await;
        assert_eq!(heard(), 4);
        pulse.store(false, Ordering::Relaxed);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(heard(), 0);
        watching.abort();
    }
}

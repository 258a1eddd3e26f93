//! A timer that is set anew only when somebody waits for it and it is wrong.
//!
//! A connection has a new deadline with every call, and hardly one of them ever passes. So the timer
//! stays where it was: it may go off too early, and is then put right, but never too late. Setting it
//! costs a lock of the runtime's; this way that is paid once per deadline's length and not per call.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one deadline after another.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready once the deadline has passed; wakes the task then.
    pub fn poll_until(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_deadline_wherever_it_stood_before() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        // Later, earlier, and long behind the one before.
        for (begins, seconds) in [(0, 30), (30, 75), (105, 1), (106, 30)] {
            assert_eq!(began.elapsed().as_secs(), begins);
            let deadline = Instant::now() + Duration::from_secs(seconds);
            // What was waited for before is not waited for any more.
            let sooner = deadline - Duration::from_millis(500);
            let look = poll_fn(|context| Poll::Ready(alarm.poll_until(context, sooner)));
            assert!(look.await.is_pending());
            poll_fn(|context| alarm.poll_until(context, deadline)).await;
            assert_eq!(Instant::now(), deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_has_passed_is_told_at_once() {
        let mut alarm = Alarm::default();
        let deadline = Instant::now();
        poll_fn(|context| alarm.poll_until(context, deadline)).await;
        assert_eq!(Instant::now(), deadline);
    }
}

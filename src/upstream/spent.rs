//! What a call has cost at its upstream.

use std::time::Duration;

use tokio::time::Instant;

/// What a call spent on its upstream: its look-ups, itself, and asking what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// From asking for a connection to the end of the answer.
    pub time: Duration,
    /// Endpoints that were tried, one that was tried twice counted twice.
    pub tries: u32,
    /// Which of the upstream's endpoints was tried last.
    pub endpoint: Option<usize>,
    /// Time in which it waited for room at its upstream.
    pub waited: Duration,
    /// What is not in `time`, or `waited`, yet began then.
    since: Option<Instant>,
    /// True if it waits.
    waits: bool,
}

impl Spent {
    /// Something at the upstream begins.
    pub fn begin(&mut self, now: Instant) {
        (self.since, self.waits) = (Some(now), false);
    }

    /// It waits for room.
    pub fn wait(&mut self, now: Instant) {
        (self.since, self.waits) = (Some(now), true);
    }

    /// An endpoint is tried.
    pub(super) fn tried(&mut self, endpoint: usize) {
        self.tries += 1;
        self.endpoint = Some(endpoint);
    }

    /// Counts the time up to now, if something is going on.
    pub fn until(&mut self, now: Instant) {
        if let Some(since) = &mut self.since {
            let time = if self.waits { &mut self.waited } else { &mut self.time };
            *time += now.saturating_duration_since(*since);
            *since = now;
        }
    }

    /// What had begun is over.
    pub fn end(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_begun_and_not_ended_is_counted() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut spent = Spent::default();
        spent.until(start + second);
        assert_eq!(spent, Spent::default());
        spent.begin(start);
        spent.tried(1);
        spent.until(start + second);
        spent.tried(0);
        spent.until(start + 3 * second);
        spent.end();
        spent.until(start + 9 * second);
        assert_eq!((spent.time, spent.tries, spent.endpoint), (3 * second, 2, Some(0)));
        assert_eq!(spent.waited, Duration::ZERO);
        spent.wait(start);
        spent.until(start + 2 * second);
        spent.begin(start + 2 * second);
        spent.until(start + 3 * second);
        assert_eq!((spent.time, spent.waited), (4 * second, 2 * second));
    }
}

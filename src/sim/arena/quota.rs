//! Arena's limit: so many requests a day for the whole workspace, counted anew at midnight Pacific time.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

const ZONE: &str = "America/Los_Angeles";

/// The requests of the running day.
pub(super) struct Quota {
    per_day: u32,
    spent: u32,
    resets: Option<Zoned>,
}

impl Quota {
    pub(super) fn new(per_day: u32) -> Quota {
        Quota { per_day, spent: 0, resets: None }
    }

    /// Takes one request; `false` if the day has none left.
    pub(super) fn spend(&mut self, now: Timestamp) -> bool {
        if self.resets.as_ref().is_none_or(|resets| now >= resets.timestamp()) {
            self.spent = 0;
            self.resets = Some(next_midnight(now));
        }
        if self.spent >= self.per_day {
            return false;
        }
        self.spent += 1;
        true
    }

    pub(super) fn remaining(&self) -> u32 {
        self.per_day.saturating_sub(self.spent)
    }

    /// The reset as Arena writes it: `Fri, 02-May-2014 14:22:13 GMT-0700 (PDT)`.
    pub(super) fn reset(&self) -> String {
        match &self.resets {
            Some(resets) => resets.strftime("%a, %d-%b-%Y %H:%M:%S GMT%z (%Z)").to_string(),
            None => String::new(),
        }
    }
}

fn next_midnight(now: Timestamp) -> Zoned {
    let zone = TimeZone::get(ZONE).expect("the zone is bundled with the crate");
    let today = now.to_zoned(zone.clone()).date();
    // By the calendar, not by 24 hours: two days of the year have 23 and 25.
    today
        .saturating_add(1.day())
        .to_datetime(Time::midnight())
        .to_zoned(zone)
        .expect("a clock's next day lies far below the year 9999")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_reset_is_the_next_midnight_in_california() {
        let mut quota = Quota::new(2);
        quota.spend(at("2014-05-02T21:22:13Z"));
        assert_eq!(quota.reset(), "Sat, 03-May-2014 00:00:00 GMT-0700 (PDT)");
        let mut quota = Quota::new(2);
        quota.spend(at("2026-12-31T23:00:00Z"));
        assert_eq!(quota.reset(), "Fri, 01-Jan-2027 00:00:00 GMT-0800 (PST)");
    }

    #[test]
    fn a_day_has_so_many_requests_and_the_next_has_them_again() {
        let mut quota = Quota::new(2);
        let noon = at("2014-05-02T19:00:00Z");
        assert!(quota.spend(noon));
        assert_eq!(quota.remaining(), 1);
        assert!(quota.spend(noon));
        assert!(!quota.spend(at("2014-05-03T06:59:59Z")));
        assert_eq!(quota.remaining(), 0);
        assert!(quota.spend(at("2014-05-03T07:00:00Z")));
        assert_eq!(quota.remaining(), 1);
    }
}

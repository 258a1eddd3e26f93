//! The jobs of asynchronous calls. A job's uuid is the caller's `X-Job-UUID` if it sends one, and then
//! works once: that is the vendor's idempotency key. The work is done at once; only the result is held
//! back for a while.

use std::collections::VecDeque;

use super::error::Refusal;
use crate::sim::exchange::Answer;

/// Jobs remembered; the oldest expire first, as the real ones do after three hours.
const JOBS_MAX: usize = 4_096;

/// Polls that find a job still running.
const POLLS_RUNNING: u32 = 2;

/// Hex digits of a uuid without dashes.
const UUID_CHARS: usize = 32;

#[derive(Default)]
pub(super) struct Jobs {
    jobs: VecDeque<Job>,
}

/// What a poll finds.
pub(super) enum Poll {
    Running,
    Finished(Answer),
    Unknown,
}

struct Job {
    uuid: String,
    polls: u32,
    /// Absent from a call that was answered directly: nobody can poll that.
    result: Option<Answer>,
}

impl Jobs {
    /// Takes the caller's uuid, or makes one.
    pub(super) fn open(&mut self, given: Option<&str>) -> Result<String, Refusal> {
        let uuid = match given {
            Some(uuid) if uuid.len() != UUID_CHARS => {
                return Err(Refusal::Text(
                    "Invalid header[X-Job-UUID], it must be a UUID with '-' stripped".to_owned(),
                ));
            }
            Some(uuid) if self.jobs.iter().any(|job| job.uuid == uuid) => {
                return Err(Refusal::Text(format!("Duplicate job uuid[{uuid}]")));
            }
            Some(uuid) => uuid.to_owned(),
            None => random_uuid(),
        };
        if self.jobs.len() == JOBS_MAX {
            self.jobs.pop_front();
        }
        self.jobs.push_back(Job { uuid: uuid.clone(), polls: 0, result: None });
        Ok(uuid)
    }

    /// Lays the result of a job by for its polls.
    pub(super) fn finish(&mut self, uuid: String, answer: Answer) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.uuid == uuid) {
            job.result = Some(answer);
        }
    }

    pub(super) fn poll(&mut self, uuid: &str) -> Poll {
        let job = self.jobs.iter_mut().find(|job| job.uuid == uuid);
        let Some(Job { polls, result: Some(result), .. }) = job else {
            return Poll::Unknown;
        };
        if *polls < POLLS_RUNNING {
            *polls += 1;
            return Poll::Running;
        }
        Poll::Finished(result.clone())
    }
}

fn random_uuid() -> String {
    let high = getrandom::u64().expect("the system has random bytes");
    let low = getrandom::u64().expect("the system has random bytes");
    format!("{high:016x}{low:016x}")
}

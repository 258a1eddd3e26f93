//! Random calls, on a store and on a plain model of it; what they answer is the same.

use std::collections::BTreeMap;

use latimer::bounds;
use latimer::store::{AddedJob, Job, NewJob, NewSession, Session, SharedSession, Store, Swept};
use proptest::prelude::*;

use crate::{Fresh, answer, hash, id, random};

/// A call, over so few names and times that calls meet.
#[derive(Clone, Debug)]
enum Call {
    AddSession { token: u32, user: u8, length: i64, slides: bool },
    FindSession { token: u32 },
    Extend { ends: Vec<(u32, i64)> },
    RemoveSession { token: u32 },
    AddJob { consumer: u8, id: u32, length: i64 },
    FinishJob { consumer: u8, id: u32, status: u16, length: i64 },
    FindJob { consumer: u8, id: u32 },
    Lease { key: u32, holder: u32, length: i64 },
    Put { key: u32, holder: u32, length: i64 },
    Release { key: u32, holder: u32 },
    FindShared { key: u32 },
    Sweep,
}

/// What a call answers.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Yes(bool),
    Session(Option<Session>),
    Job(Option<Job>),
    Added(AddedJob),
    Shared(Option<SharedSession>),
    Swept(Swept),
}

#[derive(Default)]
struct Model {
    sessions: BTreeMap<u32, Session>,
    jobs: BTreeMap<(u8, u32), (Job, i64)>,
    shared: BTreeMap<u32, Shared>,
}

#[derive(Default)]
struct Shared {
    put: Option<SharedSession>,
    holder: Option<u32>,
    until: i64,
}

const KEPT: i64 = 24 * 60 * 60 * 1000;

fn calls() -> impl Strategy<Value = Vec<(i64, Call)>> {
    let (token, user, length) = (0..6_u32, 0..2_u8, 0..40_i64);
    let call = prop_oneof![
        (token.clone(), user.clone(), length.clone(), any::<bool>()).prop_map(
            |(token, user, length, slides)| Call::AddSession { token, user, length, slides }
        ),
        token.clone().prop_map(|token| Call::FindSession { token }),
        prop::collection::vec((token.clone(), length.clone()), 0..4)
            .prop_map(|ends| Call::Extend { ends }),
        token.clone().prop_map(|token| Call::RemoveSession { token }),
        (user.clone(), token.clone(), length.clone())
            .prop_map(|(consumer, id, length)| Call::AddJob { consumer, id, length }),
        (user.clone(), token.clone(), 200..600_u16, length.clone()).prop_map(
            |(consumer, id, status, length)| Call::FinishJob { consumer, id, status, length }
        ),
        (user, token.clone()).prop_map(|(consumer, id)| Call::FindJob { consumer, id }),
        (0..2_u32, 0..3_u32, length.clone()).prop_map(|(key, holder, length)| Call::Lease {
            key,
            holder,
            length
        }),
        (0..2_u32, 0..3_u32, length).prop_map(|(key, holder, length)| Call::Put {
            key,
            holder,
            length
        }),
        (0..2_u32, 0..3_u32).prop_map(|(key, holder)| Call::Release { key, holder }),
        (0..2_u32).prop_map(|key| Call::FindShared { key }),
        Just(Call::Sweep),
    ];
    // Now and then a day passes, so that what is kept for one goes.
    let step = prop_oneof![20 => 0..10_i64, 1 => Just(KEPT)];
    prop::collection::vec((step, call), 1..60)
}

fn consumer(number: u8) -> String {
    format!("consumer-{number}")
}

impl Model {
    fn call(&mut self, call: &Call, now: i64) -> Answer {
        match call {
            Call::AddSession { token, user, length, slides } => {
                let new = new_session(*token, *user, now, *length, *slides);
                self.sessions.insert(*token, new.session);
                Answer::Done
            }
            Call::FindSession { token } => {
                let found = self.sessions.get(token).filter(|one| one.expires > now);
                Answer::Session(found.cloned())
            }
            Call::Extend { ends } => {
                for (token, length) in ends {
                    if let Some(session) = self.sessions.get_mut(token) {
                        session.expires = session.expires.max(now + length);
                    }
                }
                Answer::Done
            }
            Call::RemoveSession { token } => Answer::Yes(self.sessions.remove(token).is_some()),
            Call::AddJob { .. } | Call::FinishJob { .. } | Call::FindJob { .. } => {
                self.call_job(call, now)
            }
            Call::Lease { .. }
            | Call::Put { .. }
            | Call::Release { .. }
            | Call::FindShared { .. } => self.call_shared(call, now),
            Call::Sweep => self.sweep(now),
        }
    }

    fn call_job(&mut self, call: &Call, now: i64) -> Answer {
        match call {
            Call::AddJob { consumer, id: number, length } => {
                let key = (*consumer, *number);
                if self.jobs.get(&key).is_some_and(|(_, expires)| *expires > now) {
                    return Answer::Added(AddedJob::Exists);
                }
                let NewJob { call, created, deadline, .. } =
                    new_job(*consumer, *number, now, *length);
                let job = Job { call, created, deadline, answer: None };
                self.jobs.insert(key, (job, deadline + KEPT));
                Answer::Added(AddedJob::Added)
            }
            Call::FinishJob { consumer, id, status, length } => {
                let job = self.jobs.get_mut(&(*consumer, *id));
                let Some((job, expires)) = job.filter(|(job, _)| job.answer.is_none()) else {
                    return Answer::Yes(false);
                };
                job.answer = Some(answer(*status));
                *expires = now + length;
                Answer::Yes(true)
            }
            Call::FindJob { consumer, id } => {
                let found = self.jobs.get(&(*consumer, *id)).filter(|(_, expires)| *expires > now);
                Answer::Job(found.map(|(job, _)| job.clone()))
            }
            other => unreachable!("{other:?} is none of a job"),
        }
    }

    fn call_shared(&mut self, call: &Call, now: i64) -> Answer {
        match call {
            Call::Lease { key, holder, length } => {
                let shared = self.shared.entry(*key).or_default();
                let free =
                    shared.holder.is_none_or(|other| other == *holder) || shared.until <= now;
                if free {
                    (shared.holder, shared.until) = (Some(*holder), now + length);
                }
                Answer::Yes(free)
            }
            Call::Put { key, holder, length } => {
                let shared = self.shared.get_mut(key).filter(|one| one.holder == Some(*holder));
                let Some(shared) = shared else { return Answer::Yes(false) };
                let generation = shared.put.as_ref().map_or(0, |put| put.generation) + 1;
                let sealed = sealed(*holder, now);
                shared.put = Some(SharedSession { sealed, expires: now + length, generation });
                shared.holder = None;
                Answer::Yes(true)
            }
            Call::Release { key, holder } => {
                if let Some(shared) = self.shared.get_mut(key)
                    && shared.holder == Some(*holder)
                {
                    shared.holder = None;
                }
                Answer::Done
            }
            Call::FindShared { key } => {
                Answer::Shared(self.shared.get(key).and_then(|shared| shared.put.clone()))
            }
            other => unreachable!("{other:?} is none of an upstream"),
        }
    }

    fn sweep(&mut self, now: i64) -> Answer {
        let counts = |model: &Self| [model.sessions.len(), model.jobs.len(), model.shared.len()];
        let before = counts(self);
        self.sessions.retain(|_, session| session.expires > now);
        self.jobs.retain(|_, (_, expires)| *expires > now);
        self.shared.retain(|_, shared| {
            let ended = shared.put.as_ref().map_or(0, |put| put.expires);
            ended > now - KEPT || shared.until > now - KEPT
        });
        let after = counts(self);
        let gone = |at: usize| u64::try_from(before[at] - after[at]).unwrap();
        let (sessions, jobs, upstream_sessions) = (gone(0), gone(1), gone(2));
        Answer::Swept(Swept { sessions, jobs, upstream_sessions, ..Swept::default() })
    }
}

fn new_session(token: u32, user: u8, now: i64, length: i64, slides: bool) -> NewSession {
    NewSession {
        token: hash(token),
        session: Session {
            consumer: consumer(user),
            realm: "zstack".to_owned(),
            user: format!("user-{user}"),
            csrf: slides.then_some(hash(token + 100)),
            created: now,
            expires: now + length,
            slides_ms: slides.then_some(length.unsigned_abs()),
        },
    }
}

fn new_job(whose: u8, number: u32, now: i64, length: i64) -> NewJob {
    NewJob {
        consumer: consumer(whose),
        id: id(number),
        call: id(u32::try_from(now % 1_000_000).unwrap()),
        created: now,
        deadline: now + length,
    }
}

fn sealed(holder: u32, now: i64) -> Vec<u8> {
    [&id(holder)[..], &now.to_be_bytes()].concat()
}

async fn real(store: &Store, call: &Call, now: i64) -> Answer {
    match call {
        Call::AddSession { token, user, length, slides } => {
            let new = new_session(*token, *user, now, *length, *slides);
            store.add_session(&new).await.map(|()| Answer::Done)
        }
        Call::FindSession { token } => store.session(hash(*token), now).await.map(Answer::Session),
        Call::Extend { ends } => {
            let ends: Vec<_> =
                ends.iter().map(|(token, length)| (hash(*token), now + length)).collect();
            store.extend_sessions(&ends).await.map(|()| Answer::Done)
        }
        Call::RemoveSession { token } => store.remove_session(hash(*token)).await.map(Answer::Yes),
        Call::AddJob { consumer, id, length } => {
            store.add_job(&new_job(*consumer, *id, now, *length)).await.map(Answer::Added)
        }
        Call::FinishJob { consumer: whose, id: number, status, length } => store
            .finish_job(&consumer(*whose), id(*number), &answer(*status), now + length)
            .await
            .map(Answer::Yes),
        Call::FindJob { consumer: whose, id: number } => {
            store.job(&consumer(*whose), id(*number), now).await.map(Answer::Job)
        }
        Call::Lease { key, holder, length } => store
            .lease_upstream_session(hash(*key), id(*holder), now, now + length)
            .await
            .map(Answer::Yes),
        Call::Put { key, holder, length } => store
            .put_upstream_session(hash(*key), id(*holder), sealed(*holder, now), now + length)
            .await
            .map(Answer::Yes),
        Call::Release { key, holder } => {
            store.release_upstream_session(hash(*key), id(*holder)).await.map(|()| Answer::Done)
        }
        Call::FindShared { key } => store.upstream_session(hash(*key)).await.map(Answer::Shared),
        Call::Sweep => store.sweep(now).await.map(Answer::Swept),
    }
    .unwrap()
}

/// Holds a store against the model, in so many cases.
pub(crate) fn hold(fresh: &mut impl Fresh, cases: u32) {
    assert_eq!(i64::try_from(bounds::JOB_LOST_KEPT.as_millis()).unwrap(), KEPT);
    assert_eq!(bounds::UPSTREAM_SESSION_KEPT, bounds::JOB_LOST_KEPT);
    random::hold(fresh, cases, &calls(), async |store, calls| {
        let mut model = Model::default();
        let mut now = 10 * KEPT;
        for (step, call) in calls {
            now += step;
            prop_assert_eq!(real(store, call, now).await, model.call(call, now), "{:?}", call);
        }
        Ok(())
    });
}

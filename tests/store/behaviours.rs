//! What the store does, whichever database is below it. Each behaviour gets a store with nothing in it.

use latimer::bounds;
use latimer::store::{
    AddedJob, Batch, Job, NewJob, NewSession, Reason, Session, SharedSession, Store, Swept, Used,
};

use crate::{Fresh, all, answer, hash, id, job, runtime, session, session_with};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// All of them; the last one closes its store.
pub(crate) fn hold(fresh: &mut impl Fresh) {
    let runtime = runtime();
    macro_rules! each {
        ($($behaviour:ident),+ $(,)?) => {
            $({
                let store = fresh.store();
                runtime.block_on($behaviour(&store));

            })+
        };
    }
    each!(
        a_session_is_found_until_it_ends,
        a_session_comes_back_as_it_was,
        a_session_that_is_told_again_is_written_over,
        ends_move_later_and_never_earlier,
        of_too_many_sessions_the_oldest_goes,
        a_session_that_has_ended_takes_nobodys_place,
        a_job_is_there_until_it_expires,
        a_job_comes_back_as_it_was,
        a_job_belongs_to_its_consumer,
        the_first_word_about_a_job_stands,
        a_consumer_has_so_many_unfinished_jobs,
        a_lost_job_is_kept_for_a_day,
        one_holder_at_a_time_puts_a_session,
        a_lease_that_is_over_may_be_taken,
        a_lease_is_given_back_by_its_holder_alone,
        of_many_at_once_one_gets_the_lease,
        of_many_at_once_one_adds_a_job,
        a_sweep_takes_what_has_ended,
        a_sweep_takes_more_than_one_batch,
        uses_are_added_and_their_totals_told,
        a_batch_that_is_told_again_adds_nothing,
        uses_are_found_by_limit_and_time_page_by_page,
        uses_are_forgotten_by_caller_and_by_limit,
        uses_that_count_no_more_are_swept,
        generations_do_not_begin_anew_at_once,
        what_cannot_be_kept_is_refused,
        a_dropped_future_takes_nothing_back,
        a_store_that_is_closed_says_so,
    );
}

async fn find(store: &Store, number: u32, now: i64) -> Option<Session> {
    store.session(hash(number), now).await.unwrap()
}

async fn a_session_is_found_until_it_ends(store: &Store) {
    store.add_session(&session(1)).await.unwrap();
    assert!(find(store, 1, 1000).await.is_some());
    assert!(find(store, 1, 1999).await.is_some());
    assert_eq!(find(store, 1, 2000).await, None);
    assert_eq!(find(store, 2, 1000).await, None);
    assert!(store.remove_session(hash(1)).await.unwrap());
    assert!(!store.remove_session(hash(1)).await.unwrap());
    assert_eq!(find(store, 1, 1000).await, None);
}

async fn a_session_comes_back_as_it_was(store: &Store) {
    let new = NewSession {
        token: [0xff; 32],
        session: Session {
            consumer: "é'\"; DROP TABLE sessions; --".to_owned(),
            realm: String::new(),
            user: "名".repeat(bounds::STATE_NAME_BYTES_MAX / 3),
            csrf: Some([0; 32]),
            created: i64::MIN,
            expires: i64::MAX,
            slides_ms: Some(1_800_000),
        },
    };
    store.add_session(&new).await.unwrap();
    let found = store.session(new.token, i64::MAX - 1).await.unwrap();
    assert_eq!(found, Some(new.session));
}

async fn a_session_that_is_told_again_is_written_over(store: &Store) {
    store.add_session(&session(1)).await.unwrap();
    store.add_session(&session_with(1, |one| one.expires = 5000)).await.unwrap();
    assert_eq!(find(store, 1, 1000).await.unwrap().expires, 5000);
}

async fn ends_move_later_and_never_earlier(store: &Store) {
    for number in 1..=3 {
        store.add_session(&session(number)).await.unwrap();
    }
    // One that is not there among them, in no order.
    let ends = [(hash(3), 2500), (hash(9), 9000), (hash(1), 3000), (hash(2), 1500)];
    store.extend_sessions(&ends).await.unwrap();
    let mut found = Vec::new();
    for number in [1, 2, 3, 9] {
        found.push(find(store, number, 1500).await.map(|one| one.expires));
    }
    assert_eq!(found, [Some(3000), Some(2000), Some(2500), None]);
    store.extend_sessions(&[]).await.unwrap();
}

async fn of_too_many_sessions_the_oldest_goes(store: &Store) {
    let most = u32::try_from(bounds::SESSIONS_PER_USER_MAX).unwrap();
    let at = |number: u32| {
        session_with(number, |one| {
            one.created = 1000 + i64::from(number);
            one.expires = 9000;
        })
    };
    // Those of somebody else, and of the same name elsewhere, do not count.
    let (mut others, mut elsewhere) = (at(10_000), at(10_001));
    others.session.user = "other".to_owned();
    elsewhere.session.realm = "arena".to_owned();
    store.add_session(&others).await.unwrap();
    store.add_session(&elsewhere).await.unwrap();
    let sessions: Vec<NewSession> = (1..=most).map(at).collect();
    for added in all(sessions.iter().map(|one| store.add_session(one)).collect()).await {
        added.unwrap();
    }
    assert!(find(store, 1, 8000).await.is_some(), "so many there may be");
    store.add_session(&at(most + 1)).await.unwrap();
    assert_eq!(find(store, 1, 8000).await, None, "the oldest goes");
    assert!(find(store, 2, 8000).await.is_some());
    assert!(find(store, most + 1, 8000).await.is_some());
    // A clock that is behind makes nobody's log-in void.
    let mut behind = at(most + 2);
    behind.session.created = 10;
    store.add_session(&behind).await.unwrap();
    assert!(find(store, most + 2, 8000).await.is_some());
    assert_eq!(find(store, 2, 8000).await, None);
    assert!(find(store, 3, 8000).await.is_some());
    for number in [10_000, 10_001] {
        assert!(find(store, number, 8000).await.is_some());
    }
}

async fn a_session_that_has_ended_takes_nobodys_place(store: &Store) {
    let most = u32::try_from(bounds::SESSIONS_PER_USER_MAX).unwrap();
    let sessions: Vec<NewSession> =
        (1..most).map(|number| session_with(number, |one| one.expires = 1500)).collect();
    all(sessions.iter().map(|one| store.add_session(one)).collect()).await;
    let at = |number, created| {
        session_with(number, |one| {
            one.created = created;
            one.expires = 9000;
        })
    };
    store.add_session(&at(5000, 1)).await.unwrap();
    for number in 6000..6010 {
        store.add_session(&at(number, 1600)).await.unwrap();
    }
    assert!(find(store, 5000, 1700).await.is_some());
}

async fn a_job_is_there_until_it_expires(store: &Store) {
    assert_eq!(store.job("acme", id(1), 1000).await.unwrap(), None);
    assert_eq!(store.add_job(&job(1)).await.unwrap(), AddedJob::Added);
    assert_eq!(store.add_job(&job(1)).await.unwrap(), AddedJob::Exists);
    assert!(store.finish_job("acme", id(1), &answer(200), 3000).await.unwrap());
    assert!(store.job("acme", id(1), 2999).await.unwrap().is_some());
    assert_eq!(store.job("acme", id(1), 3000).await.unwrap(), None);
    let late = NewJob { created: 2999, deadline: 3500, ..job(1) };
    assert_eq!(store.add_job(&late).await.unwrap(), AddedJob::Exists);
    let after = NewJob { created: 3000, deadline: 3500, ..job(1) };
    assert_eq!(store.add_job(&after).await.unwrap(), AddedJob::Added);
    assert_eq!(store.job("acme", id(1), 3000).await.unwrap().unwrap().answer, None);
}

async fn a_job_comes_back_as_it_was(store: &Store) {
    store.add_job(&job(1)).await.unwrap();
    let NewJob { call, created, deadline, .. } = job(1);
    let wanted = Job { call, created, deadline, answer: None };
    assert_eq!(store.job("acme", id(1), 1000).await.unwrap(), Some(wanted.clone()));
    store.finish_job("acme", id(1), &answer(404), 3000).await.unwrap();
    let wanted = Job { answer: Some(answer(404)), ..wanted };
    assert_eq!(store.job("acme", id(1), 1000).await.unwrap(), Some(wanted));
    // Nothing is an answer too.
    store.add_job(&job(2)).await.unwrap();
    let nothing = latimer::store::JobAnswer { status: 204, headers: Vec::new(), body: Vec::new() };
    store.finish_job("acme", id(2), &nothing, 3000).await.unwrap();
    assert_eq!(store.job("acme", id(2), 1000).await.unwrap().unwrap().answer, Some(nothing));
}

async fn a_job_belongs_to_its_consumer(store: &Store) {
    store.add_job(&job(1)).await.unwrap();
    assert_eq!(store.job("other", id(1), 1000).await.unwrap(), None);
    assert!(!store.finish_job("other", id(1), &answer(200), 3000).await.unwrap());
    let others = NewJob { consumer: "other".to_owned(), call: id(77), ..job(1) };
    assert_eq!(store.add_job(&others).await.unwrap(), AddedJob::Added);
    assert_eq!(store.job("other", id(1), 1000).await.unwrap().unwrap().call, id(77));
    assert_eq!(store.job("acme", id(1), 1000).await.unwrap().unwrap().call, job(1).call);
}

async fn the_first_word_about_a_job_stands(store: &Store) {
    assert!(!store.finish_job("acme", id(1), &answer(200), 3000).await.unwrap());
    store.add_job(&job(1)).await.unwrap();
    assert!(store.finish_job("acme", id(1), &answer(200), 3000).await.unwrap());
    assert!(!store.finish_job("acme", id(1), &answer(500), 9000).await.unwrap());
    let kept = store.job("acme", id(1), 1000).await.unwrap().unwrap();
    assert_eq!(kept.answer, Some(answer(200)));
    assert_eq!(store.job("acme", id(1), 3000).await.unwrap(), None);
}

async fn a_consumer_has_so_many_unfinished_jobs(store: &Store) {
    let most = u32::try_from(bounds::JOBS_PER_CONSUMER_MAX).unwrap();
    let jobs: Vec<NewJob> = (1..=most).map(job).collect();
    let added = all(jobs.iter().map(|one| store.add_job(one)).collect()).await;
    assert!(added.iter().all(|added| matches!(added, Ok(AddedJob::Added))));
    assert_eq!(store.add_job(&job(most + 1)).await.unwrap(), AddedJob::Full);
    assert_eq!(store.job("acme", id(most + 1), 1000).await.unwrap(), None);
    assert_eq!(store.add_job(&job(1)).await.unwrap(), AddedJob::Exists, "which says more");
    let others = NewJob { consumer: "other".to_owned(), ..job(most + 1) };
    assert_eq!(store.add_job(&others).await.unwrap(), AddedJob::Added);
    store.finish_job("acme", id(1), &answer(200), 9000).await.unwrap();
    assert_eq!(store.add_job(&job(most + 1)).await.unwrap(), AddedJob::Added);
    assert_eq!(store.add_job(&job(most + 2)).await.unwrap(), AddedJob::Full);
    // Those whose time is over are no work any more.
    let after = NewJob { created: 2000, deadline: 3000, ..job(most + 2) };
    assert_eq!(store.add_job(&after).await.unwrap(), AddedJob::Added);
}

async fn a_lost_job_is_kept_for_a_day(store: &Store) {
    store.add_job(&job(1)).await.unwrap();
    let lost = store.job("acme", id(1), 2000 + DAY - 1).await.unwrap().unwrap();
    assert_eq!((lost.deadline, lost.answer), (2000, None));
    assert_eq!(store.job("acme", id(1), 2000 + DAY).await.unwrap(), None);
}

async fn one_holder_at_a_time_puts_a_session(store: &Store) {
    let key = hash(1);
    assert_eq!(store.upstream_session(key).await.unwrap(), None);
    assert!(!store.put_upstream_session(key, id(1), vec![1], 5000).await.unwrap());
    assert!(store.lease_upstream_session(key, id(1), 1000, 2000).await.unwrap());
    assert_eq!(store.upstream_session(key).await.unwrap(), None, "nobody has put one");
    assert!(!store.lease_upstream_session(key, id(2), 1000, 2000).await.unwrap());
    assert!(store.lease_upstream_session(key, id(1), 1000, 2500).await.unwrap(), "for longer");
    assert!(!store.put_upstream_session(key, id(2), vec![2], 5000).await.unwrap());
    assert!(store.put_upstream_session(key, id(1), vec![1, 0, 255], 5000).await.unwrap());
    let wanted = SharedSession { sealed: vec![1, 0, 255], expires: 5000, generation: 1 };
    assert_eq!(store.upstream_session(key).await.unwrap(), Some(wanted));
    assert!(
        !store.put_upstream_session(key, id(1), vec![1], 5000).await.unwrap(),
        "it is given back"
    );
    assert!(store.lease_upstream_session(key, id(2), 1000, 2000).await.unwrap());
    assert!(store.put_upstream_session(key, id(2), vec![2], 6000).await.unwrap());
    let wanted = SharedSession { sealed: vec![2], expires: 6000, generation: 2 };
    assert_eq!(store.upstream_session(key).await.unwrap(), Some(wanted));
    assert_eq!(store.upstream_session(hash(2)).await.unwrap(), None);
}

async fn a_lease_that_is_over_may_be_taken(store: &Store) {
    let key = hash(1);
    assert!(store.lease_upstream_session(key, id(1), 1000, 2000).await.unwrap());
    assert!(!store.lease_upstream_session(key, id(2), 1999, 3000).await.unwrap());
    assert!(store.lease_upstream_session(key, id(2), 2000, 3000).await.unwrap());
    assert!(!store.put_upstream_session(key, id(1), vec![1], 5000).await.unwrap(), "it came late");
    assert!(store.put_upstream_session(key, id(2), vec![2], 5000).await.unwrap());
}

async fn a_lease_is_given_back_by_its_holder_alone(store: &Store) {
    let key = hash(1);
    store.release_upstream_session(key, id(1)).await.unwrap();
    assert!(store.lease_upstream_session(key, id(1), 1000, 2000).await.unwrap());
    store.release_upstream_session(key, id(2)).await.unwrap();
    assert!(!store.lease_upstream_session(key, id(2), 1000, 2000).await.unwrap());
    store.release_upstream_session(key, id(1)).await.unwrap();
    assert!(store.lease_upstream_session(key, id(2), 1000, 2000).await.unwrap());
}

async fn of_many_at_once_one_gets_the_lease(store: &Store) {
    for round in 0..20 {
        let tries =
            (0..30).map(|holder| store.lease_upstream_session(hash(round), id(holder), 1, 9));
        let got = all(tries.collect()).await;
        assert_eq!(got.iter().filter(|one| *one.as_ref().unwrap()).count(), 1);
    }
}

async fn of_many_at_once_one_adds_a_job(store: &Store) {
    for round in 0..20 {
        let job = job(round);
        let added = all((0..30).map(|_| store.add_job(&job)).collect()).await;
        let count = added.iter().filter(|one| matches!(one, Ok(AddedJob::Added))).count();
        assert_eq!(count, 1);
        assert!(added.iter().all(|one| matches!(one, Ok(AddedJob::Added | AddedJob::Exists))));
    }
}

async fn a_sweep_takes_what_has_ended(store: &Store) {
    store.add_session(&session(1)).await.unwrap();
    store.add_session(&session_with(2, |one| one.expires = 2001)).await.unwrap();
    store.add_job(&job(1)).await.unwrap();
    store.finish_job("acme", id(1), &answer(200), 2000).await.unwrap();
    store.add_job(&job(2)).await.unwrap();
    store.lease_upstream_session(hash(1), id(1), 1000, 2000).await.unwrap();
    store.put_upstream_session(hash(1), id(1), vec![1], 2000).await.unwrap();
    assert_eq!(store.sweep(1999).await.unwrap(), Swept::default());
    let swept = store.sweep(2000).await.unwrap();
    assert_eq!(swept, Swept { sessions: 1, jobs: 1, ..Swept::default() });
    assert!(find(store, 2, 2000).await.is_some());
    assert!(store.job("acme", id(2), 2000).await.unwrap().is_some(), "not finished");
    let swept = store.sweep(2000 + DAY).await.unwrap();
    let all = Swept { sessions: 1, jobs: 1, upstream_sessions: 1, ..Swept::default() };
    assert_eq!(swept, all);
    assert_eq!(store.sweep(i64::MAX).await.unwrap(), Swept::default());
}

async fn a_sweep_takes_more_than_one_batch(store: &Store) {
    let many = bounds::STATE_SWEEP_ROWS_MAX * 2 + 3;
    let jobs: Vec<NewJob> =
        (0..many).map(|one| NewJob { consumer: format!("c{}", one % 7), ..job(one) }).collect();
    all(jobs.iter().map(|one| store.add_job(one)).collect()).await;
    let swept = store.sweep(2000 + DAY).await.unwrap();
    assert_eq!(swept, Swept { jobs: many.into(), ..Swept::default() });
}

/// Calls of a caller in the hour that begins then; they count until 2000.
fn used(limit: &str, subject: u64, start: u64, calls: u64) -> Used {
    Used { limit: limit.to_owned(), span: 24, subject, start, calls, expires: 2000 }
}

fn batch(writer: u32, number: u64) -> Batch {
    Batch { writer: id(writer), number, expires: 3000 }
}

async fn uses(store: &Store, limit: &str) -> Vec<(u64, u64, u64)> {
    let found = store.uses(limit, 24, None, 1000).await.unwrap();
    found.iter().map(|one| (one.subject, one.start, one.calls)).collect()
}

async fn uses_are_added_and_their_totals_told(store: &Store) {
    let (high, low) = (u64::MAX - 1, 7);
    let first = vec![used("day", high, 1, 3), used("day", low, 1, 2), used("hour", low, 1, 9)];
    assert_eq!(store.add_uses(batch(1, 1), first).await.unwrap(), [3, 2, 9]);
    let more = vec![used("day", low, 1, 5), used("day", low, 2, 1), used("day", high, 1, 0)];
    assert_eq!(store.add_uses(batch(2, 1), more).await.unwrap(), [7, 1, 3], "by another one");
    assert_eq!(store.add_uses(batch(1, 2), Vec::new()).await.unwrap(), [0; 0]);
    // Subjects are in the order of numbers with a sign.
    assert_eq!(uses(store, "day").await, [(high, 1, 3), (low, 1, 7), (low, 2, 1)]);
    assert_eq!(uses(store, "hour").await, [(low, 1, 9)]);
    assert_eq!(store.uses("day", 25, None, 1000).await.unwrap(), [], "of another length");
}

async fn a_batch_that_is_told_again_adds_nothing(store: &Store) {
    let calls = vec![used("day", 1, 1, 3), used("day", 2, 1, 4)];
    assert_eq!(store.add_uses(batch(1, 1), calls.clone()).await.unwrap(), [3, 4]);
    assert_eq!(store.add_uses(batch(2, 1), calls.clone()).await.unwrap(), [6, 8]);
    for number in [1, 0] {
        assert_eq!(store.add_uses(batch(1, number), calls.clone()).await.unwrap(), [6, 8]);
    }
    assert_eq!(store.add_uses(batch(1, 2), calls).await.unwrap(), [9, 12], "the next one does");
    let together: Vec<_> =
        (0..50).map(|one| store.add_uses(batch(one, 9), vec![used("many", 1, 1, 1)])).collect();
    assert!(all(together).await.iter().all(Result::is_ok));
    assert_eq!(uses(store, "many").await, [(1, 1, 50)]);
}

async fn uses_are_found_by_limit_and_time_page_by_page(store: &Store) {
    let page = u64::from(bounds::LIMIT_USES_PAGE);
    let calls: Vec<Used> = (0..page + 5).map(|one| used("day", one / 2, one % 2, 1)).collect();
    for (number, part) in calls.chunks(2_000).enumerate() {
        store.add_uses(batch(1, number as u64 + 1), part.to_vec()).await.unwrap();
    }
    let first = store.uses("day", 24, None, 1999).await.unwrap();
    assert_eq!(first.len() as u64, page);
    let last = first.last().map(|one| (one.subject, one.start));
    let rest = store.uses("day", 24, last, 1999).await.unwrap();
    assert_eq!([first, rest].concat(), calls);
    assert_eq!(store.uses("day", 24, None, 2000).await.unwrap(), [], "they count no more");
}

async fn uses_are_forgotten_by_caller_and_by_limit(store: &Store) {
    let many = u64::from(bounds::STATE_SWEEP_ROWS_MAX) * 2 + 3;
    let calls: Vec<Used> = (0..many).map(|one| used("day", one, 1, 1)).collect();
    store.add_uses(batch(1, 1), calls).await.unwrap();
    let calls = vec![used("hour", 1, 1, 5), used("hour", 1, 2, 5), used("hour", u64::MAX, 1, 2)];
    store.add_uses(batch(1, 2), calls).await.unwrap();
    store.forget_uses("hour", Some(1)).await.unwrap();
    assert_eq!(uses(store, "hour").await, [(u64::MAX, 1, 2)]);
    store.forget_uses("day", None).await.unwrap();
    assert_eq!(uses(store, "day").await, []);
    assert_eq!(uses(store, "hour").await, [(u64::MAX, 1, 2)], "another limit");
    let again = store.add_uses(batch(1, 3), vec![used("hour", 1, 1, 1)]).await.unwrap();
    assert_eq!(again, [1], "from the beginning");
}

async fn uses_that_count_no_more_are_swept(store: &Store) {
    let longer = Used { expires: 2001, ..used("day", 2, 1, 1) };
    store.add_uses(batch(1, 1), vec![used("day", 1, 1, 1), longer]).await.unwrap();
    assert_eq!(store.sweep(1999).await.unwrap(), Swept::default());
    let one = Swept { limit_uses: 1, ..Swept::default() };
    assert_eq!(store.sweep(2000).await.unwrap(), one);
    assert_eq!(uses(store, "day").await, [(2, 1, 1)]);
    assert_eq!(store.sweep(2001).await.unwrap(), one);
    assert_eq!(store.sweep(3000).await.unwrap(), one, "the writer");
}

async fn generations_do_not_begin_anew_at_once(store: &Store) {
    let key = hash(1);
    store.lease_upstream_session(key, id(1), 1000, 2000).await.unwrap();
    store.put_upstream_session(key, id(1), vec![1], 2000).await.unwrap();
    store.sweep(2000 + DAY - 1).await.unwrap();
    // Somebody is at it: this is no row that nobody uses.
    store.lease_upstream_session(key, id(2), 2000 + DAY, 3000 + DAY).await.unwrap();
    assert_eq!(store.sweep(2000 + DAY).await.unwrap(), Swept::default());
    assert!(store.put_upstream_session(key, id(2), vec![2], 9000 + DAY).await.unwrap());
    assert_eq!(store.upstream_session(key).await.unwrap().unwrap().generation, 2);
}

async fn what_cannot_be_kept_is_refused(store: &Store) {
    let long = "x".repeat(bounds::STATE_NAME_BYTES_MAX + 1);
    for name in [long.as_str(), "a\0b"] {
        let wrong = [
            session_with(1, |one| one.consumer = name.to_owned()),
            session_with(1, |one| one.realm = name.to_owned()),
            session_with(1, |one| one.user = name.to_owned()),
        ];
        for wrong in wrong {
            let error = store.add_session(&wrong).await.unwrap_err();
            assert_eq!(error.reason(), Reason::Unfit);
        }
        let wrong = NewJob { consumer: name.to_owned(), ..job(1) };
        assert_eq!(store.add_job(&wrong).await.unwrap_err().reason(), Reason::Unfit);
        assert_eq!(store.job(name, id(1), 1).await.unwrap_err().reason(), Reason::Unfit);
    }
    let most = vec![7; bounds::STATE_VALUE_BYTES_MAX];
    let more = vec![7; bounds::STATE_VALUE_BYTES_MAX + 1];
    store.lease_upstream_session(hash(1), id(1), 1, 9).await.unwrap();
    let refused = store.put_upstream_session(hash(1), id(1), more.clone(), 9).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Unfit);
    assert!(store.put_upstream_session(hash(1), id(1), most.clone(), 9).await.unwrap());
    assert_eq!(store.upstream_session(hash(1)).await.unwrap().unwrap().sealed, most);
    store.add_job(&job(1)).await.unwrap();
    let refused = latimer::store::JobAnswer { body: more, ..answer(200) };
    let refused = store.finish_job("acme", id(1), &refused, 9000).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Unfit);
    assert_eq!(store.job("acme", id(1), 1000).await.unwrap().unwrap().answer, None);
}

async fn a_dropped_future_takes_nothing_back(store: &Store) {
    let new = session(1);
    let mut adding = Box::pin(store.add_session(&new));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = adding.as_mut().poll(&mut context);
    drop(adding);
    // Closing waits for what was queued, and so does what is asked for after it in the same queue.
    let deadline = std::time::Instant::now() + bounds::STATE_TIMEOUT;
    while find(store, 1, 1000).await.is_none() {
        assert!(std::time::Instant::now() < deadline, "it is not done");
    }
}

async fn a_store_that_is_closed_says_so(store: &Store) {
    let other = store.clone();
    store.add_session(&session(1)).await.unwrap();
    store.check().await.unwrap();
    store.close().await;
    assert_eq!(other.session(hash(1), 1000).await.unwrap_err().reason(), Reason::Closed);
    assert_eq!(other.add_session(&session(2)).await.unwrap_err().reason(), Reason::Closed);
    other.close().await;
}

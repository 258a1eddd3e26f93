//! What is remembered, and what is not, of a store that is changed beside it. The clock is paused.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::store;
use crate::store::crosswalk::Pair;
use crate::value::IdKind;

/// Two questions from `own` to `theirs`: the second one is one after which the upstream is asked.
fn ways() -> Vec<Way> {
    let way = |asked| Way {
        kind: IdKind::Ticket,
        from: "own".to_owned(),
        to: "theirs".to_owned(),
        asked,
    };
    vec![way(None), way(Some(0))]
}

struct Stage {
    store: Store,
    followed: Arc<Followed>,
    crosswalk: Crosswalk,
    following: JoinHandle<()>,
}

impl Stage {
    async fn start() -> Self {
        let store = store::temporary().expect("there is room");
        let followed = Arc::new(Followed::begin(store.clone(), ways()).await.unwrap());
        let crosswalk = Crosswalk::new(Arc::clone(&followed));
        let follow = Arc::clone(&followed);
        let following = tokio::spawn(async move { follow.follow().await });
        Self { store, followed, crosswalk, following }
    }

    /// Waits for an epoch; the store answers by a thread that knows no paused clock.
    async fn until(&self, epoch: u64) {
        while self.followed.epoch() != epoch {
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn link(&self, own: &str, theirs: &str) {
        let ids = [SystemId::new("own", own), SystemId::new("theirs", theirs)];
        let pairs = [Pair { kind: IdKind::Ticket, ids, note: None }];
        self.store.link_crosswalk(&pairs, "a test", 1).await.expect("is kept");
    }

    async fn unlink(&self, own: &str) {
        let at = SystemId::new("own", own);
        assert!(self.store.unlink_crosswalk(IdKind::Ticket, &at, 2).await.expect("is kept"));
    }
}

fn linked(id: &str) -> Known {
    Known::Linked(id.to_owned())
}

#[tokio::test]
async fn what_is_linked_is_known_until_something_goes() {
    let stage = Stage::start().await;
    let crosswalk = &stage.crosswalk;
    stage.link("a", "1").await;
    stage.link("b", "2").await;
    assert_eq!(crosswalk.known(0, "a"), None);
    assert_eq!(crosswalk.find(0, "a").await.expect("told"), linked("1"));
    assert_eq!(crosswalk.known(0, "a"), Some(linked("1")));
    // What is added makes nothing wrong.
    stage.link("c", "3").await;
    sleep(bounds::CROSSWALK_LOOK_INTERVAL * 2).await;
    assert_eq!((crosswalk.known(0, "a"), stage.followed.epoch()), (Some(linked("1")), 1));
    stage.unlink("b").await;
    stage.until(2).await;
    assert_eq!(crosswalk.known(0, "a"), None, "which one it was is not known");
    assert_eq!(crosswalk.find(0, "b").await.expect("told"), Known::Missing);
    stage.following.abort();
}

/// An answer that was under way while an id went is an old one.
#[tokio::test]
async fn an_answer_of_an_epoch_that_is_over_is_not_remembered() {
    let stage = Stage::start().await;
    stage.link("a", "1").await;
    stage.following.abort();
    let crosswalk = &stage.crosswalk;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // The store has a thread of its own, which may have answered by then.
    let asking = (0..1_000).find_map(|_| {
        let mut asking = Box::pin(crosswalk.find(0, "a"));
        asking.as_mut().poll(&mut context).is_pending().then_some(asking)
    });
    let asking = asking.expect("it takes some time");
    stage.followed.epoch.store(2, Ordering::Release);
    assert_eq!(asking.await.expect("told"), linked("1"));
    assert_eq!(crosswalk.known(0, "a"), None);
    // And while nothing is to be believed, nothing is remembered.
    stage.followed.epoch.store(0, Ordering::Release);
    assert_eq!(crosswalk.find(0, "a").await.expect("told"), linked("1"));
    assert_eq!(crosswalk.known(0, "a"), None);
}

#[tokio::test]
async fn what_is_not_linked_is_known_for_a_moment_only() {
    let stage = Stage::start().await;
    let crosswalk = &stage.crosswalk;
    assert_eq!(crosswalk.find(0, "a").await.expect("told"), Known::Missing);
    assert_eq!(crosswalk.known(0, "a"), Some(Known::Missing));
    stage.link("a", "1").await;
    sleep(bounds::CROSSWALK_MISSING_KEPT).await;
    assert_eq!(crosswalk.known(0, "a"), None);
    assert_eq!(crosswalk.find(0, "a").await.expect("told"), linked("1"));
    stage.following.abort();
}

/// Where the upstream is asked, its word is remembered, and what somebody links later goes before it.
#[tokio::test]
async fn the_upstreams_word_holds_until_somebody_links_the_id() {
    let stage = Stage::start().await;
    let crosswalk = &stage.crosswalk;
    assert_eq!(crosswalk.find(1, "a").await.expect("told"), Known::Missing);
    assert_eq!(crosswalk.known(1, "a"), None, "it is not over with that");
    crosswalk.note_asked(1, "a", true);
    crosswalk.note_asked(1, "b", false);
    assert_eq!(crosswalk.known(1, "a"), Some(Known::Upstreams));
    assert_eq!(crosswalk.known(1, "b"), Some(Known::Missing));
    assert_eq!(crosswalk.known(0, "a"), None, "nobody else's word");
    sleep(bounds::CROSSWALK_MISSING_KEPT).await;
    for id in ["a", "b"] {
        assert_eq!(crosswalk.known(1, id), None, "{id}");
    }
    assert_eq!(crosswalk.find(1, "a").await.expect("told"), Known::Upstreams);
    assert_eq!(crosswalk.known(1, "a"), Some(Known::Upstreams));
    assert_eq!(crosswalk.find(1, "b").await.expect("told"), Known::Missing);
    stage.link("a", "1").await;
    sleep(bounds::CROSSWALK_MISSING_KEPT).await;
    assert_eq!(crosswalk.find(1, "a").await.expect("told"), linked("1"));
    stage.following.abort();
}

#[tokio::test]
async fn an_id_that_cannot_be_kept_is_not_linked_and_no_fault() {
    let stage = Stage::start().await;
    let long = "x".repeat(bounds::STATE_NAME_BYTES_MAX + 1);
    for id in ["", " a", "a\u{7}", &long] {
        assert_eq!(stage.crosswalk.find(0, id).await.expect("told"), Known::Missing, "{id:?}");
    }
    stage.following.abort();
}

/// While the state is away, what is known is believed for as long as is said, and no longer.
#[tokio::test]
async fn of_a_state_that_is_away_nothing_is_believed_for_ever() {
    let stage = Stage::start().await;
    stage.link("a", "1").await;
    let crosswalk = &stage.crosswalk;
    assert_eq!(crosswalk.find(0, "a").await.expect("told"), linked("1"));
    stage.store.close().await;
    tokio::time::pause();
    sleep(bounds::CROSSWALK_TRUST - Duration::from_secs(1)).await;
    assert_eq!(crosswalk.known(0, "a"), Some(linked("1")));
    assert!(crosswalk.find(0, "b").await.is_err());
    sleep(Duration::from_secs(2)).await;
    assert_eq!((crosswalk.known(0, "a"), stage.followed.epoch()), (None, 0));
    stage.following.abort();
}

//! Random calls on stores with nothing in them, for those that know what each must answer.

use std::cell::RefCell;
use std::fmt::Debug;

use latimer::store::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::{Fresh, runtime};

/// Has so many sequences of calls held, each on a store of its own.
pub(crate) fn hold<C: Debug>(
    fresh: &mut impl Fresh,
    cases: u32,
    calls: &impl Strategy<Value = Vec<C>>,
    case: impl AsyncFn(&Store, &[C]) -> TestCaseResult,
) {
    let runtime = runtime();
    let fresh = RefCell::new(fresh);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(calls, |calls| {
        let store = fresh.borrow_mut().store();
        runtime.block_on(case(&store, &calls))
    });
    if let Err(found) = outcome {
        panic!("{found}");
    }
}

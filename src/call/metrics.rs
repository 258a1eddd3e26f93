//! What is counted of calls, for `/metrics`.
//!
//! ```text
//! call ─▶ CallRecord ─▶ Tally (a worker's own cells, by index) ─┐
//!                                                               ├─▶ sums, when somebody asks ─▶ page
//! breakers, gates, budgets, pools: they know by themselves ─────┘
//! ```
//!
//! Labels are names of the configuration, of the mappings and of closed sets; nothing that a client
//! sends becomes one. Every series is there from the start, with 0: an alert on `outcome="unknown"` must
//! not miss the first one. A call only adds to atomics that stand at an index, in cells that no other
//! worker writes to: it takes no lock, hashes no label, makes no text, and waits for nobody's cache line.

mod families;
mod layout;
mod page;
mod shard;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use page::Observed;

use crate::call::{CallRecord, Looked};
use crate::plan::Plan;
use layout::Layout;
use page::Page;
use shard::Shard;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    page: Arc<Page>,
}

/// Where one worker counts.
#[derive(Debug)]
pub struct Tally {
    page: Arc<Page>,
    shard: Arc<Shard>,
}

/// An open connection, as long as it lives.
#[derive(Debug)]
pub struct Connection {
    shard: Arc<Shard>,
    closed: usize,
}

impl Metrics {
    /// The series of a plan, all at 0, and of what is looked at besides.
    pub fn new(plan: &Plan, observed: Observed) -> Self {
        let page = Arc::new(Page {
            layout: Layout::new(plan),
            shards: Mutex::default(),
            observed,
            started: SystemTime::now(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&page)));
        Self { registry, page }
    }

    /// A tally for one more worker.
    pub fn tally(&self) -> Tally {
        let shard = Arc::new(Shard::new(self.page.layout.cells));
        let mut shards = self.page.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.push(Arc::clone(&shard));
        Tally { page: Arc::clone(&self.page), shard }
    }

    /// All of it, as OpenMetrics text 1.0.0.
    ///
    /// # Errors
    /// If a series cannot be written, which is a defect.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Tally {
    /// Counts a call that has ended.
    pub fn count(&self, record: &CallRecord) {
        let (layout, shard) = (&self.page.layout, &*self.shard);
        let Some(cells) = record.route.and_then(|index| layout.routes.get(index)) else {
            shard.add(layout.nobodys.requests, 1);
            shard.observe(layout.nobodys.duration, record.duration);
            return;
        };
        shard.add(cells.request(record), 1);
        shard.observe(cells.duration, record.duration);
        shard.observe(cells.own_duration, record.own_time());
        if record.spent.tries > 0 {
            shard.observe(cells.upstream_duration, record.spent.time);
        }
        if !record.spent.waited.is_zero() {
            shard.observe(cells.waited, record.spent.waited);
        }
        shard.add(cells.bytes_in, record.bytes_in);
        shard.add(cells.bytes_out, record.bytes_out);
        if let Some(decision) = record.decision {
            shard.add(cells.decision(decision), 1);
            if let Some(cell) = decision.err().and_then(|refuser| cells.refusal(refuser)) {
                shard.add(cell, 1);
            }
        }
        if let Some(translation) = record.translation {
            shard.add(cells.translation(translation), 1);
        }
        if record.unreadable > 0 {
            shard.add(cells.unreadable, u64::from(record.unreadable));
        }
        if let Some(read_back) = &record.read_back {
            shard.add(cells.read_back(read_back), 1);
        }
        if record.looked != Looked::default() {
            for (cell, count) in cells.looked(record.looked) {
                shard.add(cell, u64::from(count));
            }
        }
        for field in &record.dropped {
            if let Some(cell) = cells.dropped(record, *field) {
                shard.add(cell, 1);
            }
        }
    }

    /// Counts a connection until the value is dropped, however the connection ends.
    pub fn connection(&self) -> Connection {
        let layout = &self.page.layout;
        self.shard.add(layout.accepted, 1);
        Connection { shard: Arc::clone(&self.shard), closed: layout.closed }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shard.add(self.closed, 1);
    }
}

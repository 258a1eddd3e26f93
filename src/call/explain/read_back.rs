//! The read after a write, as `explain` shows it: with nothing sent there is nothing read.

use crate::call::enrich;
use crate::call::explain::{Explainer, Line};
use crate::call::outgoing;
use crate::call::sign::Signed;
use crate::mapping::model::Operation;
use crate::mapping::run::{Gateway, write_request};
use crate::plan::Pair;
use crate::value::Record;

impl Explainer<'_> {
    /// What would be read of the ticket: of what the answer does not say, or of all that it might not say.
    pub(super) fn read_back(
        &mut self,
        (operation, pair): (&Operation, &Pair),
        record: &Record<'_>,
        answer: Option<&Record<'_>>,
    ) {
        let Some(read_back) = pair.read_back.as_ref().filter(|read_back| read_back.enriches) else {
            return;
        };
        let plan = &self.services.plan;
        let upstream = &plan.upstreams[self.route.upstream];
        let target = &upstream.mapping.operations[read_back.pair.upstream];
        let missing = enrich::missing(read_back, answer.unwrap_or(&Record::new()));
        let names = enrich::names(&plan.vocabulary.operations[operation.id], &missing).join(", ");
        let what = if answer.is_some() { "missing" } else { "may be missing" };
        if names.is_empty() {
            self.show("read after the write", vec![Line::new(what, "nothing", "")]);
            return;
        }
        let asked = enrich::asked(read_back, record);
        let (gateway, steps) = (Gateway::default(), outgoing::named_steps(target));
        let signed = Signed::explained(self.services, self.credential());
        let known = (upstream, &signed);
        let sources = outgoing::sources(self.services, known, &asked, &gateway, &steps);
        let line = match write_request(target, sources) {
            Ok(written) => super::request_lines(target, &upstream.url.base_path, &written, sources),
            Err(refusal) => vec![Line::new("cannot be written", refusal.reason, "")],
        };
        let lines = [Line::new(what, names, "")].into_iter().chain(line).collect();
        self.show("read after the write", lines);
    }
}

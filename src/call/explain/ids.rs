//! Ids that the crosswalk translates, as `explain` shows them: it asks nothing, so what they become is not known.

use crate::call::explain::{Explainer, Line};
use crate::config::Missing;
use crate::mapping::model::Operation;
use crate::plan::Pair;
use crate::value::Record;

impl Explainer<'_> {
    /// What the crosswalk would be asked. From here on the client's own ids stand where the upstream's would.
    /// True if there are any.
    pub(super) fn show_ids(
        &mut self,
        operation: &Operation,
        pair: &Pair,
        record: &Record<'_>,
    ) -> bool {
        let Some(carrying) = &pair.crosswalk else { return false };
        let plan = &self.services.plan;
        let fields = &plan.vocabulary.operations[operation.id].request;
        let asked = carrying.request.iter().filter_map(|id| {
            let (way, own) = (&plan.ways[id.way], record.text(id.field)?);
            let missing = match id.missing {
                Missing::Refuse => "refused",
                Missing::Pass => "passed as it is",
                Missing::AskUpstream => "asked for at the upstream",
            };
            let asks = format!(
                "{} {}={own} asks the crosswalk for its id of {}; if it has none: {missing}",
                id.kind.name(),
                way.from,
                way.to
            );
            Some(Line::new(&fields[usize::from(id.field)].name, asks, ""))
        });
        let lines: Vec<Line> = asked.collect();
        let are_any = !lines.is_empty();
        if are_any {
            self.show("crosswalk", lines);
        }
        are_any
    }
}

//! When a mapped task is expanded, and how its instances follow what it is mapped over.

use windrose_core::cause::Cause;
use windrose_core::mapping::{kind_of, mappable_length};
use windrose_core::outcome::XCom;
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::counters::UpstreamCounts;
use crate::effect::Effect;
use crate::readiness::Judgement;
use crate::run_machine::RunMachine;
use crate::transition::Because;
use crate::trigger_rule::Verdict;

impl RunMachine {
    /// How many instances a mapped task has by what it is mapped over; `None` while that is not known.
    pub(crate) fn mapped_length(&self, p: u32) -> Option<u32> {
        let known = |task: &windrose_core::ids::TaskId| {
            let source = self.position(task).ok()?;
            self.returned_length(source).map(|length| length as usize)
        };
        let length = self.plan.expansion(p)?.length(&known)?;
        u32::try_from(length).ok()
    }

    /// The length of what a task returned. What a mapped one returned is complete once all its instances have ended.
    fn returned_length(&self, p: u32) -> Option<u32> {
        match self.mapped.get(&p) {
            Some(mapped) if mapped.expanded => (mapped.open == 0).then_some(mapped.pushed),
            Some(_) => None,
            None => self.tasks[p as usize].columns.mapped_length,
        }
    }

    /// When the values that a task is mapped over were last returned.
    #[must_use]
    pub fn mapped_at(&self, position: usize) -> Option<Timestamp> {
        let p = u32::try_from(position).ok()?;
        self.plan.sources.get(&p)?.iter().filter_map(|source| self.returned_at.get(source)).max().copied()
    }

    /// What the tasks it is mapped over mean for a mapped task, those that are expanded themselves left out (Airflow's
    /// `MappedTaskUpstreamDep`).
    pub(crate) fn sources_verdict(&self, p: u32) -> Verdict {
        let mut verdict = Verdict::Run;
        for &source in self.plan.sources.get(&p).into_iter().flatten() {
            if self.mapped.get(&source).is_some_and(|mapped| mapped.expanded) {
                continue;
            }
            match self.tasks[source as usize].state {
                TaskState::Final(FinalState::Failed | FinalState::UpstreamFailed) => return Verdict::UpstreamFailed,
                TaskState::Final(FinalState::Skipped) => verdict = Verdict::Skip,
                _ => {}
            }
        }
        verdict
    }

    /// What a task returned is too odd, or too long, for those that are mapped over it.
    pub(crate) fn unmappable(&self, i: u32, xcoms: &[XCom]) -> Option<Cause> {
        let p = self.position_of(i);
        let by = self.plan.mapped_by.get(&p)?.first()?;
        if self.mapped.contains_key(&p) {
            return None;
        }
        let by = &self.plan.task(*by).id;
        let value = xcoms.iter().find(|xcom| xcom.key == "return_value").map(|xcom| &xcom.value);
        let most = self.plan.max_map_length();
        let message = match value.map(|value| (mappable_length(value), kind_of(value))) {
            None => format!("It returned nothing, and '{by}' is mapped over what it returns. Let it return a list."),
            Some((None, kind)) => {
                format!(
                    "It returned {kind}, and '{by}' is mapped over what it returns. Let it return a list or a dict."
                )
            }
            Some((Some(length), _)) if length > most => {
                format!(
                    "It returned {length} elements, and '{by}' can be mapped over {most} at most. Raise max_map_length, or map over batches."
                )
            }
            Some(_) => return None,
        };
        Some(Cause::Failed { message })
    }

    /// Notes what an instance returned, if others are mapped over its task.
    pub(crate) fn note_returned(&mut self, now: Timestamp, i: u32, xcoms: &[XCom]) {
        let p = self.position_of(i);
        if !self.plan.mapped_by.contains_key(&p) {
            return;
        }
        let value = xcoms.iter().find(|xcom| xcom.key == "return_value" && !xcom.value.is_null());
        let length =
            value.map(|xcom| if self.mapped.contains_key(&p) { 1 } else { mappable_length(&xcom.value).unwrap_or(0) });
        self.set_mapped_length(i, length.map(|length| u32::try_from(length).unwrap_or(u32::MAX)));
        self.returned_at.insert(p, now);
    }

    pub(crate) fn set_mapped_length(&mut self, i: u32, length: Option<u32>) {
        let before = std::mem::replace(&mut self.tasks[i as usize].columns.mapped_length, length);
        let p = self.position_of(i);
        if let Some(mapped) = self.mapped.get_mut(&p) {
            mapped.pushed = mapped.pushed + u32::from(length.is_some()) - u32::from(before.is_some());
        }
        for dependent in self.plan.mapped_by.get(&p).into_iter().flatten() {
            if let Some(mapped) = self.mapped.get_mut(dependent) {
                mapped.stale = true;
            }
        }
    }

    /// A mapped task may run: it gets its instances, and they are judged at once. False if nothing came of it.
    pub(crate) fn expand(&mut self, now: Timestamp, p: u32) -> bool {
        let Some(length) = self.mapped_length(p) else { return false };
        if length == 0 {
            let because = Because { cause: None, by: "having nothing to be mapped over" };
            return self.change(now, p, TaskEvent::Decided(FinalState::Skipped), because).is_ok();
        }
        let from = self.touched.shift_remove(&p).map_or(self.tasks[p as usize].state, |touched| touched.from);
        self.effects.push_back(Effect::Expand { key: self.key(p), from, length });
        self.tasks[p as usize].columns = windrose_core::task_instance::TaskColumns::new(self.plan.task(p).retries);
        self.grow(p, length);
        self.set_stale(p, false);
        self.expect_below(p, length - 1);
        self.recount_group(p);
        for i in self.instances_of(p) {
            let judgement = self.judge(i);
            if self.can_be_judged(i) {
                self.act_on(now, i, judgement);
            }
        }
        true
    }

    /// A mapped task runs again, and what it is mapped over may have another length now (Airflow's
    /// `_revise_map_indexes_if_mapped`): new elements get instances, those that are too many are removed. False if nothing
    /// came of it.
    pub(crate) fn revise(&mut self, now: Timestamp, p: u32) -> bool {
        if !self.mapped.get(&p).is_some_and(|mapped| mapped.expanded && mapped.stale) {
            return false;
        }
        let Some(length) = self.mapped_length(p) else { return false };
        self.set_stale(p, false);
        let have = self.instances_of(p);
        let because = || Because { cause: None, by: "there being fewer elements to be mapped over" };
        let mut changed = false;
        for (index, &i) in (0_u32..).zip(&have) {
            let is_removed = self.tasks[i as usize].state == TaskState::Final(FinalState::Removed);
            // A person may mark and clear anything, and so may this.
            let event = if index == 0 && length == 0 && self.can_be_judged(i) {
                // As when it is expanded: what is mapped over nothing is skipped.
                TaskEvent::Decided(FinalState::Skipped)
            } else if index >= length.max(1) && !is_removed {
                TaskEvent::Marked(FinalState::Removed)
            } else if index < length && is_removed {
                TaskEvent::Cleared
            } else {
                continue;
            };
            changed |= self.change(now, i, event, because()).is_ok();
        }
        let more = length.saturating_sub(u32::try_from(have.len()).unwrap_or(u32::MAX));
        if more > 0 {
            self.grow(p, length);
            self.expect_below(p, more);
            self.recount_group(p);
            for i in self.instances_of(p).split_off(have.len()) {
                self.effects.push_back(Effect::AddTask(self.key(i)));
                self.mark_dirty(i);
            }
        }
        changed || more > 0
    }

    fn set_stale(&mut self, p: u32, stale: bool) {
        if let Some(mapped) = self.mapped.get_mut(&p) {
            mapped.stale = stale;
        }
    }

    /// The tasks below a mapped one have more to wait for.
    pub(crate) fn expect_below(&mut self, p: u32, more: u32) {
        let is_setup = self.plan.task(p).setup;
        for &below in self.plan.downstream.of(p) {
            if !self.plan.mapped_together(p, below) {
                self.counts[below as usize].add_unfinished(more, is_setup);
            }
        }
        for &below in self.plan.scopes.get(&p).into_iter().flatten() {
            if let Some(counts) = self.scope_counts.get_mut(&below).filter(|_| !self.plan.mapped_together(p, below)) {
                counts.add_unfinished(more, true);
            }
        }
    }

    /// Counts anew what instances within a mapped group wait for in it, for a task and those below it.
    pub(crate) fn recount_group(&mut self, p: u32) {
        let below = self.plan.downstream.of(p).iter().chain(self.plan.scopes.get(&p).into_iter().flatten());
        let affected: Vec<u32> =
            std::iter::once(p).chain(below.copied().filter(|&b| self.plan.mapped_together(p, b))).collect();
        for q in affected {
            for i in self.instances_of(q) {
                self.recount_instance(q, i);
                self.mark_dirty(i);
            }
        }
    }

    pub(crate) fn recount_instance(&mut self, q: u32, i: u32) {
        let above: Vec<u32> =
            self.plan.upstream.of(q).iter().copied().filter(|&u| self.plan.mapped_together(u, q)).collect();
        if above.is_empty() {
            return;
        }
        let direct = self.count_partners(i, &above);
        self.group_counts.insert(i, direct);
        let scope: Vec<u32> =
            self.plan.scope_above(q).iter().copied().filter(|&s| self.plan.mapped_together(s, q)).collect();
        if !scope.is_empty() {
            let counts = self.count_partners(i, &scope);
            self.group_scope_counts.insert(i, counts);
        }
    }

    fn count_partners(&self, i: u32, others: &[u32]) -> UpstreamCounts {
        let mut counts = UpstreamCounts::default();
        for &other in others {
            if let Some(partner) = self.partner_above(i, other) {
                let (is_setup, row) = (self.plan.task(other).setup, &self.tasks[partner as usize]);
                match row.state {
                    TaskState::Final(FinalState::Removed) if row.map_index >= 0 => {}
                    TaskState::Final(end) => {
                        counts.add_unfinished(1, is_setup);
                        counts.add(end, is_setup);
                    }
                    _ => counts.add_unfinished(1, is_setup),
                }
            }
        }
        counts
    }

    /// Combines what a mapped task's trigger rule says with what it is mapped over.
    pub(crate) fn with_sources(&self, p: u32, by_rule: Judgement) -> Judgement {
        if !self.mapped.contains_key(&p) {
            return by_rule;
        }
        match (by_rule, self.sources_verdict(p)) {
            (Judgement::End(FinalState::UpstreamFailed), _) | (_, Verdict::UpstreamFailed) => {
                Judgement::End(FinalState::UpstreamFailed)
            }
            (_, Verdict::Skip) => Judgement::End(FinalState::Skipped),
            // Its rule did not wait for what it is mapped over, or a person marked that, and it returned nothing: Airflow's
            // `expand_mapped_task` does not wait either.
            (Judgement::Run, _) if self.is_unexpanded(p) && self.mapped_length(p).is_none() => {
                Judgement::End(FinalState::UpstreamFailed)
            }
            (by_rule, _) => by_rule,
        }
    }
}

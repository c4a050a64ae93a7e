//! From `upstream`, `chain` and `chains` to edges between tasks.
//!
//! A group stands for its leaves as upstream and for its roots as downstream. Which tasks those are depends on the edges
//! within the group, so what is declared by `upstream` is resolved from the inside out: an edge between two things waits
//! for all edges deeper in the groups than the group around both. The links of `chain`, and then of `chains`, come after
//! that in the order they are written, each seeing those before it, as calls of Airflow's `chain()` do.

use std::collections::HashMap;

use super::MAX_EDGES;
use super::chain::ChainLink;
use super::group_ends::GroupEnds;
use super::groups::Groups;
use super::reader::Word;
use super::reporter::{Finding, Reporter, Span};
use super::suggest::nearest;
use super::task_fields::DeclaredTask;

/// What an id in `upstream` or a chain names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Task(u32),
    Group(u32),
}

/// Direct edges between tasks, each once, with the place that asked for it first.
pub(super) struct Edges {
    places: HashMap<(u32, u32), Span>,
    pub(super) up: Vec<Vec<u32>>,
    pub(super) down: Vec<Vec<u32>>,
}

impl Edges {
    fn among(tasks: usize) -> Self {
        Self { places: HashMap::new(), up: vec![Vec::new(); tasks], down: vec![Vec::new(); tasks] }
    }

    /// True if the edge is new.
    fn add(&mut self, from: u32, to: u32, place: Span) -> bool {
        let new = !self.places.contains_key(&(from, to));
        if new {
            self.places.insert((from, to), place);
            self.up[to as usize].push(from);
            self.down[from as usize].push(to);
        }
        new
    }

    /// The place that asked for an edge.
    pub(super) fn place(&self, from: u32, to: u32) -> Span {
        self.places.get(&(from, to)).copied().unwrap_or(Span::TOP)
    }

    /// All edges, in the order of the tasks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        (0_u32..).zip(&self.down).flat_map(|(from, targets)| targets.iter().map(move |&to| (from, to)))
    }
}

/// Resolves everything that links tasks.
pub(super) struct Resolver<'a, 's> {
    tasks: &'a [DeclaredTask],
    groups: &'a Groups,
    task_positions: HashMap<&'a str, u32>,
    edges: Edges,
    ends: GroupEnds,
    reporter: &'a mut Reporter<'s>,
}

impl<'a, 's> Resolver<'a, 's> {
    pub(super) fn new(tasks: &'a [DeclaredTask], groups: &'a Groups, reporter: &'a mut Reporter<'s>) -> Self {
        let task_positions = tasks.iter().map(|declared| declared.task.id.as_str()).zip(0..).collect();
        let edges = Edges::among(tasks.len());
        let ends = GroupEnds::new(groups.list.len());
        Self { tasks, groups, task_positions, edges, ends, reporter }
    }

    /// All edges of the file. Links of chains are resolved by name here, so that every unknown id is found.
    pub(super) fn resolve(mut self, links: &[ChainLink]) -> Edges {
        let mut with_groups = Vec::new();
        for (position, declared) in (0_u32..).zip(self.tasks) {
            for setup in &declared.setups {
                if let Some(End::Task(from)) = self.find(setup) {
                    self.link(End::Task(from), End::Task(position), setup.span);
                }
            }
            self.link_upstream(&declared.upstream, End::Task(position), &mut with_groups);
            self.link_sources(&declared.sources, End::Task(position), &mut with_groups);
        }
        for (position, declared) in (0_u32..).zip(&self.groups.list) {
            self.link_upstream(&declared.upstream, End::Group(position), &mut with_groups);
            self.link_sources(&declared.sources, End::Group(position), &mut with_groups);
        }
        // The sort is stable, and edges of equal depth do not change one another's meaning.
        with_groups.sort_by_key(|&(from, to, _)| std::cmp::Reverse(self.depth_of_group_around(from, to)));
        for (from, to, place) in with_groups {
            self.link(from, to, place);
        }
        for link in links {
            if let (Some(from), Some(to)) = (self.find(&link.from), self.find(&link.to)) {
                self.link(from, to, link.to.span);
            }
        }
        self.edges
    }

    fn link_upstream(&mut self, upstream: &[Word], to: End, with_groups: &mut Vec<(End, End, Span)>) {
        for word in upstream {
            match (self.find(word), to) {
                (Some(from @ End::Task(_)), End::Task(_)) => self.link(from, to, word.span),
                (Some(from), _) => with_groups.push((from, to, word.span)),
                (None, _) => {}
            }
        }
    }

    /// What is mapped over comes first.
    fn link_sources(&mut self, sources: &[Word], to: End, with_groups: &mut Vec<(End, End, Span)>) {
        for word in sources {
            match (self.find(word), to) {
                (Some(from @ End::Task(_)), End::Task(_)) => self.link(from, to, word.span),
                (Some(from @ End::Task(_)), End::Group(_)) => with_groups.push((from, to, word.span)),
                (Some(End::Group(_)), _) => {
                    let message =
                        format!("'{}' is a group, and only what a task returns can be mapped over", word.text);
                    self.reporter.add(Finding::error(word.span, message));
                }
                (None, _) => {}
            }
        }
    }

    /// What a word names; reported if it is nothing.
    pub(super) fn find(&mut self, word: &Word) -> Option<End> {
        if let Some(&task) = self.task_positions.get(word.text.as_str()) {
            return Some(End::Task(task));
        }
        if let Some(group) = self.groups.position(&word.text) {
            return Some(End::Group(group));
        }
        let near = if self.reporter.is_full() { None } else { self.nearest_id(&word.text) };
        let message = format!("there is no task or group '{}'", word.text);
        self.reporter.add(Finding::error(word.span, message).did_you_mean(near));
        None
    }

    fn nearest_id(&self, text: &str) -> Option<&'a str> {
        let ids = || self.tasks.iter().map(|declared| declared.task.id.as_str()).chain(self.groups.ids());
        // Forgetting the group's prefix is as likely as a typing error.
        let within_group = || ids().find(|id| id.strip_suffix(text).is_some_and(|prefix| prefix.ends_with('.')));
        nearest(text, ids()).or_else(within_group)
    }

    fn link(&mut self, from: End, to: End, place: Span) {
        if let Some(problem) = self.why_not(from, to) {
            self.reporter.add(Finding::error(place, problem));
            return;
        }
        let upstream = self.ends.leaves(from, self.tasks, self.groups, &self.edges);
        let downstream = self.ends.roots(to, self.groups, &self.edges);
        for &from in upstream.iter() {
            for &to in downstream.iter() {
                if self.edges.places.len() >= MAX_EDGES {
                    let message = format!("the DAG has more than {MAX_EDGES} edges");
                    self.reporter
                        .add(Finding::error(place, message).help("put an 'empty' task between the two groups"));
                    return;
                }
                if self.edges.add(from, to, place) {
                    self.ends.forget_groups_around(from, to, self.groups);
                }
            }
        }
    }

    fn why_not(&self, from: End, to: End) -> Option<String> {
        if from == to {
            return Some(format!("'{}' cannot be upstream of itself", self.name(from)));
        }
        for (group, inner) in [(from, to), (to, from)] {
            if let End::Group(position) = group
                && self.groups.outwards(self.container(inner)).any(|around| around == position)
            {
                return Some(format!(
                    "'{}' is in the group '{}', so neither can be upstream of the other",
                    self.name(inner),
                    self.name(group)
                ));
            }
        }
        None
    }

    fn name(&self, end: End) -> &'a str {
        match end {
            End::Task(task) => self.tasks[task as usize].task.id.as_str(),
            End::Group(group) => &self.groups.list[group as usize].group.id,
        }
    }

    fn container(&self, end: End) -> Option<u32> {
        match end {
            End::Task(task) => self.groups.of_task(task),
            End::Group(group) => self.groups.parent(group),
        }
    }

    /// How deep the innermost group around both lies; 0 is the DAG itself.
    fn depth_of_group_around(&self, from: End, to: End) -> usize {
        let path = |end| {
            let mut path: Vec<u32> = self.groups.outwards(self.container(end)).collect();
            path.reverse();
            path
        };
        path(from).iter().zip(&path(to)).take_while(|(a, b)| a == b).count()
    }
}

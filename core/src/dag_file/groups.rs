//! `[groups.*]`: which groups there are, and which tasks are in them.

use std::collections::HashMap;

use toml::de::DeTable;

use super::ids::check_id;
use super::known_fields::GROUP_FIELDS;
use super::mapping::read_expansion;
use super::reader::{Fields, Word, refuse_unknown_keys, table_of};
use super::reporter::{Finding, Reporter, Span};
use super::suggest::nearest;
use super::task_fields::DeclaredTask;
use crate::dag::Group;

/// A group as declared.
pub(super) struct DeclaredGroup {
    pub(super) group: Group,
    pub(super) span: Span,
    pub(super) upstream: Vec<Word>,
    /// Tasks that it is mapped over.
    pub(super) sources: Vec<Word>,
    parent: Option<u32>,
}

/// All groups of a file, by position.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) list: Vec<DeclaredGroup>,
    positions: HashMap<String, u32>,
    members: Vec<Vec<u32>>,
    group_of_task: Vec<Option<u32>>,
}

/// Reads `[groups.*]`.
pub(super) fn read_groups(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Groups {
    let mut groups = Groups::default();
    let Some(table) = fields.table("groups", reporter) else { return groups };
    for (key, node) in table {
        let id = key.get_ref().as_ref();
        let span = Span::from(key.span());
        let Some(table) = table_of(id, node, reporter) else { continue };
        if !check_id("group id", id, span, reporter) {
            continue;
        }
        groups.positions.insert(id.to_owned(), u32::try_from(groups.list.len()).unwrap_or(u32::MAX));
        groups.list.push(read_group(id, span, table, reporter));
    }
    groups.link_parents(reporter);
    groups
}

fn read_group(id: &str, span: Span, table: &DeTable<'_>, reporter: &mut Reporter<'_>) -> DeclaredGroup {
    refuse_unknown_keys(table, GROUP_FIELDS, "a group", reporter);
    let fields = Fields::of(table);
    let mapped = read_expansion(&fields, reporter);
    let (expansion, sources) = mapped.map_or((None, Vec::new()), |m| (Some(m.expansion), m.sources));
    let parent = id.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    DeclaredGroup {
        group: Group { id: id.to_owned(), parent, tooltip: fields.text("tooltip", reporter), expansion },
        sources,
        span,
        upstream: fields.words("upstream", reporter).unwrap_or_default(),
        parent: None,
    }
}

impl Groups {
    /// The group with this id.
    pub(super) fn position(&self, id: &str) -> Option<u32> {
        self.positions.get(id).copied()
    }

    /// All ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> + Clone {
        self.list.iter().map(|declared| declared.group.id.as_str())
    }

    /// The tasks in a group and in the groups within it, in the order of the file.
    pub(super) fn members(&self, group: u32) -> &[u32] {
        self.members.get(group as usize).map_or(&[], Vec::as_slice)
    }

    /// The group around a group.
    pub(super) fn parent(&self, group: u32) -> Option<u32> {
        self.list[group as usize].parent
    }

    /// The innermost group around a task.
    pub(super) fn of_task(&self, task: u32) -> Option<u32> {
        self.group_of_task.get(task as usize).copied().flatten()
    }

    /// A group and all around it, innermost first.
    pub(super) fn outwards(&self, from: Option<u32>) -> impl Iterator<Item = u32> {
        std::iter::successors(from, |&group| self.parent(group))
    }

    fn link_parents(&mut self, reporter: &mut Reporter<'_>) {
        for index in 0..self.list.len() {
            let Some(parent) = self.list[index].group.parent.clone() else { continue };
            match self.position(&parent) {
                Some(position) => self.list[index].parent = Some(position),
                None => reporter.add(self.undeclared(&parent, self.list[index].span)),
            }
        }
    }

    /// Puts every task into its group: the one it names, or the one its id carries as a prefix.
    pub(super) fn take_in(&mut self, tasks: &mut [DeclaredTask], reporter: &mut Reporter<'_>) {
        self.members = vec![Vec::new(); self.list.len()];
        self.group_of_task = vec![None; tasks.len()];
        for (position, declared) in (0_u32..).zip(tasks) {
            let id = declared.task.id.as_str();
            let (name, span) = match &declared.group {
                Some(word) => (word.text.clone(), word.span),
                None => match id.rsplit_once('.') {
                    Some((prefix, _)) => (prefix.to_owned(), declared.span),
                    None => continue,
                },
            };
            let Some(group) = self.position(&name) else {
                reporter.add(self.undeclared(&name, span));
                continue;
            };
            declared.task.group = Some(name);
            self.group_of_task[position as usize] = Some(group);
            let around: Vec<u32> = self.outwards(Some(group)).collect();
            for group in around {
                self.members[group as usize].push(position);
            }
        }
    }

    /// A mapped task or group inside a mapped group, which Airflow refuses, too.
    pub(super) fn refuse_nested_mapping(&self, tasks: &[DeclaredTask], reporter: &mut Reporter<'_>) {
        let mapped_around = |from| self.outwards(from).find(|&g| self.list[g as usize].group.expansion.is_some());
        let nested = |what: &str, id: &str, span: Span, around: u32| {
            let message = format!(
                "the {what} '{id}' is mapped inside the mapped group '{}'",
                self.list[around as usize].group.id
            );
            Finding::error(span, message).help("map only one of them: mapping does not nest")
        };
        for (position, declared) in (0_u32..).zip(tasks).filter(|(_, declared)| declared.task.expansion.is_some()) {
            if let Some(around) = mapped_around(self.of_task(position)) {
                reporter.add(nested("task", declared.task.id.as_str(), declared.span, around));
            }
        }
        for (position, declared) in (0_u32..).zip(&self.list).filter(|(_, declared)| declared.group.expansion.is_some())
        {
            if let Some(around) = mapped_around(self.parent(position)) {
                reporter.add(nested("group", &declared.group.id, declared.span, around));
            }
        }
    }

    fn undeclared(&self, id: &str, span: Span) -> Finding {
        let finding = Finding::error(span, format!("the group '{id}' is not declared"));
        match nearest(id, self.ids()) {
            Some(near) => finding.did_you_mean(Some(near)),
            None if id.contains('.') => finding.help(format!("declare it: [groups.\"{id}\"]")),
            None => finding.help(format!("declare it: [groups.{id}]")),
        }
    }
}

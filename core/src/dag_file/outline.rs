//! The tasks and groups of a DAG file that is known to be right, without reading anything else of it.

use toml::de::{DeTable, DeValue};

use crate::ids::TaskId;

/// Which tasks and groups a DAG file has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// Its tasks, each with the group it is in.
    pub tasks: Vec<(TaskId, Option<String>)>,
    /// Its groups.
    pub groups: Vec<String>,
}

/// The outline of a file; empty if it is no TOML.
#[must_use]
pub fn outline(text: &str) -> Outline {
    let (document, _) = DeTable::parse_recoverable(text);
    let table = |name: &str| document.get_ref().get(name).and_then(|node| node.get_ref().as_table());
    let group_of = |id: &str, task: &DeValue<'_>| {
        let own = task.as_table().and_then(|task| task.get("group")?.get_ref().as_str());
        own.or_else(|| id.rsplit_once('.').map(|(group, _)| group)).map(str::to_owned)
    };
    let tasks = table("tasks").into_iter().flatten().map(|(key, node)| {
        let id = key.get_ref().as_ref();
        (TaskId::from(id), group_of(id, node.get_ref()))
    });
    let groups = table("groups").into_iter().flatten().map(|(key, _)| key.get_ref().to_string());
    Outline { tasks: tasks.collect(), groups: groups.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_in_the_group_of_their_prefix_or_the_one_they_name() {
        let found = outline("[groups.g]\n[tasks.a]\n[tasks.\"g.b\"]\n[tasks.c]\ngroup = 'g'\n");
        let group = Some("g".to_owned());
        assert_eq!(found.tasks, [("a".into(), None), ("g.b".into(), group.clone()), ("c".into(), group)]);
        assert_eq!(found.groups, ["g"]);
        assert_eq!(outline("no toml ="), Outline::default());
    }
}

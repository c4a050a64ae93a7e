//! `chain` and `chains`, with the meaning of Airflow's `chain()`.

use toml::de::DeValue;

use super::reader::{Fields, Word, word_of, wrong_kind};
use super::reporter::{Finding, Reporter};
use super::values::Node;

/// One pair of neighbours.
pub(super) struct ChainLink {
    pub(super) from: Word,
    pub(super) to: Word,
}

/// All links, those of `chain` first.
pub(super) fn read_chains(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Vec<ChainLink> {
    let mut links = Vec::new();
    if let Some(node) = fields.get("chain") {
        read_chain("chain", node, &mut links, reporter);
    }
    if let Some(node) = fields.get("chains") {
        match node.get_ref() {
            DeValue::Array(chains) => {
                for chain in chains.iter() {
                    read_chain("chains", chain, &mut links, reporter);
                }
            }
            _ => reporter.add(wrong_kind("chains", node, "a list of chains")),
        }
    }
    links
}

/// One place of a chain: an id, or several side by side.
enum Place {
    One(Word),
    Many(Vec<Word>),
}

fn read_chain(key: &str, node: &Node<'_>, links: &mut Vec<ChainLink>, reporter: &mut Reporter<'_>) {
    let Some(items) = node.get_ref().as_array() else {
        let finding = wrong_kind(key, node, "a list of task ids and lists of task ids");
        let finding =
            if key == "chains" { finding.help("one chain alone is written chain = [\"a\", \"b\"]") } else { finding };
        reporter.add(finding);
        return;
    };
    let mut before: Option<Place> = None;
    for item in items.iter() {
        let place = read_place(key, item, reporter);
        if let (Some(before), Some(place)) = (&before, &place) {
            link(before, place, item, links, reporter);
        }
        before = place;
    }
}

fn read_place(key: &str, item: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<Place> {
    match item.get_ref() {
        DeValue::Array(ids) if ids.is_empty() => {
            reporter.add(Finding::error(item.span(), "an empty list in a chain links nothing"));
            None
        }
        DeValue::Array(ids) => Some(Place::Many(ids.iter().filter_map(|id| word_of(key, id, reporter)).collect())),
        _ => word_of(key, item, reporter).map(Place::One),
    }
}

fn link(from: &Place, to: &Place, item: &Node<'_>, links: &mut Vec<ChainLink>, reporter: &mut Reporter<'_>) {
    let mut push = |from: &Word, to: &Word| links.push(ChainLink { from: from.clone(), to: to.clone() });
    match (from, to) {
        (Place::One(from), Place::One(to)) => push(from, to),
        (Place::One(from), Place::Many(tos)) => tos.iter().for_each(|to| push(from, to)),
        (Place::Many(froms), Place::One(to)) => froms.iter().for_each(|from| push(from, to)),
        (Place::Many(froms), Place::Many(tos)) if froms.len() == tos.len() => {
            froms.iter().zip(tos).for_each(|(from, to)| push(from, to));
        }
        (Place::Many(froms), Place::Many(tos)) => {
            let message = format!(
                "neighbouring lists in a chain must be equally long, but here are {} and {}",
                froms.len(),
                tos.len()
            );
            reporter.add(Finding::error(item.span(), message).help("put one task between them, or use 'upstream'"));
        }
    }
}

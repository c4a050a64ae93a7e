//! Assets in the DAG file: `schedule = { assets = … }`, `outlets` and `inlets`.

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::reader::{Fields, Word, refuse_unknown_keys, table_of, word_of, wrong_kind};
use super::reporter::{Finding, Reporter};
use super::template_check::check_templates;
use super::values::{Node, json_of};
use crate::asset::{AssetCondition, Inlet, Outlet, check_name, normalise};
use crate::ids::AssetUri;

/// How many assets and aliases one condition, or one list of outlets, may name.
const MOST: usize = 1_000;

/// What a schedule waits for: a URI, `{ alias = … }`, `{ all = […] }`, `{ any = […] }`, or a list, which means all.
pub(super) fn read_condition(node: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<AssetCondition> {
    let mut left = MOST;
    let condition = condition(node, &mut left, reporter)?;
    if left == 0 {
        reporter.add(Finding::error(node.span(), format!("a schedule waits for at most {MOST} assets")));
        return None;
    }
    Some(condition)
}

fn condition(node: &Node<'_>, left: &mut usize, reporter: &mut Reporter<'_>) -> Option<AssetCondition> {
    *left = left.saturating_sub(1);
    match node.get_ref() {
        DeValue::String(_) => read_uri("assets", node, reporter).map(AssetCondition::Asset),
        DeValue::Array(_) => parts("assets", node, left, reporter).map(AssetCondition::All),
        DeValue::Table(table) => {
            refuse_unknown_keys(table, &["all", "any", "alias"], "a condition on assets", reporter);
            let mut known = table.iter().filter(|(key, _)| ["all", "any", "alias"].contains(&key.get_ref().as_ref()));
            match (known.next(), known.next()) {
                (Some((key, value)), None) => match key.get_ref().as_ref() {
                    "alias" => read_alias(value, reporter).map(AssetCondition::Alias),
                    "all" => parts("all", value, left, reporter).map(AssetCondition::All),
                    _ => parts("any", value, left, reporter).map(AssetCondition::Any),
                },
                (Some(_), Some((key, _))) => {
                    let finding =
                        Finding::error(key.span(), "a condition on assets is 'all', 'any' or 'alias', not two");
                    reporter.add(finding.help("nest them: { any = [{ all = […] }, …] }"));
                    None
                }
                _ => {
                    if table.is_empty() {
                        let finding = Finding::error(node.span(), "'assets' names nothing to wait for");
                        reporter.add(finding.help("write assets = \"s3://bucket/key\" or { any = [\"…\", \"…\"] }"));
                    }
                    None
                }
            }
        }
        _ => {
            reporter.add(wrong_kind("assets", node, "a URI, a list of them, or a table of 'all', 'any' or 'alias'"));
            None
        }
    }
}

fn parts(key: &str, node: &Node<'_>, left: &mut usize, reporter: &mut Reporter<'_>) -> Option<Vec<AssetCondition>> {
    let Some(items) = node.get_ref().as_array() else {
        reporter.add(wrong_kind(key, node, "a list of assets"));
        return None;
    };
    if items.is_empty() {
        reporter.add(Finding::error(node.span(), format!("'{key}' needs at least one asset")));
        return None;
    }
    let parts: Vec<_> = items.iter().filter_map(|item| condition(item, left, reporter)).collect();
    (parts.len() == items.len()).then_some(parts)
}

/// What a task changes: URIs, `{ uri = …, extra = … }` and `{ alias = …, uri = …, extra = … }`.
pub(super) fn read_outlets(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Vec<Outlet> {
    let items = read_items("outlets", fields, reporter);
    items.iter().filter_map(|item| read_outlet(item, reporter)).collect()
}

fn read_outlet(node: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<Outlet> {
    if node.get_ref().as_str().is_some() {
        return Some(Outlet::Asset { uri: read_uri("outlets", node, reporter)?, extra: Map::new() });
    }
    let table = node.get_ref().as_table().or_else(|| {
        reporter.add(wrong_kind("outlets", node, "a list of URIs or tables"));
        None
    })?;
    refuse_unknown_keys(table, &["uri", "alias", "extra"], "an outlet", reporter);
    let own = Fields::of(table);
    let extra = own.get("extra").and_then(|extra| {
        check_templates("extra", extra, reporter);
        table_of("extra", extra, reporter)?;
        json_of(extra, reporter).as_object().cloned()
    });
    let extra: Map<String, Value> = extra.unwrap_or_default();
    match (own.get("alias"), own.get("uri")) {
        (Some(alias), uri) => {
            if let Some(uri) = uri {
                check_templates("uri", uri, reporter);
            }
            Some(Outlet::Alias { alias: read_alias(alias, reporter)?, uri: own.text("uri", reporter), extra })
        }
        (None, Some(uri)) => Some(Outlet::Asset { uri: read_uri("uri", uri, reporter)?, extra }),
        (None, None) => {
            reporter.add(Finding::error(node.span(), "an outlet needs 'uri' or 'alias'"));
            None
        }
    }
}

/// What a task reads: URIs and `{ alias = … }`.
pub(super) fn read_inlets(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Vec<Inlet> {
    let items = read_items("inlets", fields, reporter);
    items.iter().filter_map(|item| read_inlet(item, reporter)).collect()
}

fn read_inlet(node: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<Inlet> {
    let Some(table) = node.get_ref().as_table() else {
        return read_uri("inlets", node, reporter).map(Inlet::Asset);
    };
    refuse_unknown_keys(table, &["alias"], "an inlet", reporter);
    let Some(alias) = table.get("alias") else {
        reporter.add(Finding::error(node.span(), "an inlet is a URI or { alias = \"…\" }"));
        return None;
    };
    read_alias(alias, reporter).map(Inlet::Alias)
}

fn read_items<'d>(key: &str, fields: &Fields<'d>, reporter: &mut Reporter<'_>) -> &'d [Node<'d>] {
    let Some(node) = fields.get(key) else { return &[] };
    let Some(items) = node.get_ref().as_array() else {
        let finding = wrong_kind(key, node, "a list of assets");
        reporter.add(match node.get_ref().as_str() {
            Some(text) => finding.help(format!("write {key} = [\"{text}\"]")),
            None => finding,
        });
        return &[];
    };
    if items.len() > MOST {
        reporter.add(Finding::error(node.span(), format!("'{key}' has at most {MOST} assets")));
        return &[];
    }
    items
}

fn read_uri(key: &str, node: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<AssetUri> {
    let word: Word = word_of(key, node, reporter)?;
    if word.text.contains("{{") || word.text.contains("{%") {
        let finding = Finding::error(word.span, "an asset's URI is no template: it must be known before anything runs");
        reporter.add(finding.help("for one that is not, write { alias = \"a name\", uri = \"{{ … }}\" }"));
        return None;
    }
    normalise(&word.text).map_err(|why| reporter.add(Finding::error(word.span, why))).ok()
}

fn read_alias(node: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<String> {
    let word = word_of("alias", node, reporter)?;
    match check_name("an alias", &word.text) {
        Ok(()) => Some(word.text),
        Err(why) => {
            reporter.add(Finding::error(word.span, why));
            None
        }
    }
}

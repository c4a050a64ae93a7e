//! The `schedule` field.

use chrono_tz::Tz;
use toml::de::{DeTable, DeValue};

use super::Defaults;
use super::assets::read_condition;
use super::reader::{Fields, Word, not_a_choice, refuse_unknown_keys, word_of, wrong_kind};
use super::reporter::{Finding, Reporter};
use super::suggest::nearest;
use super::values::Node;
use crate::dag::Schedule;
use crate::timetable::{check_cron, preset, preset_names};

const PRESETS: [(&str, Schedule); 2] = [("@once", Schedule::Once), ("@continuous", Schedule::Continuous)];

const TABLE_FIELDS: &[&str] = &["cron", "timezone", "data_interval", "every", "assets"];

/// The DAG's schedule; none if the field is absent.
pub(super) fn read_schedule(fields: &Fields<'_>, defaults: &Defaults, reporter: &mut Reporter<'_>) -> Schedule {
    let Some(node) = fields.get("schedule") else { return Schedule::None };
    match node.get_ref() {
        DeValue::String(text) => {
            let word = Word { text: text.to_string(), span: node.span().into() };
            from_text(&word, defaults, reporter)
        }
        DeValue::Table(table) => from_table(table, node, defaults, reporter),
        _ => {
            let finding = wrong_kind("schedule", node, "a preset, a cron expression or a table");
            reporter.add(finding.help("write schedule = \"@daily\", \"0 6 * * *\" or { every = \"15m\" }"));
            Schedule::None
        }
    }
}

/// A time zone by its IANA name.
pub(super) fn read_zone(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Option<Tz> {
    let word = fields.word("timezone", reporter)?;
    let zone = word.text.parse::<Tz>().ok();
    if zone.is_none() {
        let finding = Finding::error(word.span, format!("'{}' is not a time zone", word.text));
        let near = nearest(&word.text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        reporter.add(match near {
            Some(_) => finding.did_you_mean(near),
            None => finding.help("use an IANA name such as Europe/Berlin"),
        });
    }
    zone
}

fn from_text(word: &Word, defaults: &Defaults, reporter: &mut Reporter<'_>) -> Schedule {
    if let Some((_, schedule)) = PRESETS.iter().find(|(name, _)| *name == word.text) {
        return schedule.clone();
    }
    let expressions = vec![cron(word, reporter)];
    Schedule::Cron { expressions, timezone: None, data_interval: defaults.create_cron_data_intervals }
}

/// A cron expression with presets written out.
fn cron(word: &Word, reporter: &mut Reporter<'_>) -> String {
    if let Some(expression) = preset(&word.text) {
        return expression.to_owned();
    }
    if word.text.starts_with('@') {
        let presets = PRESETS.iter().map(|(name, _)| *name).chain(preset_names());
        reporter.add(not_a_choice("schedule", word, presets));
    } else if let Err(why) = check_cron(&word.text) {
        let finding = Finding::error(word.span, why.to_string());
        reporter.add(finding.label("minute hour day-of-month month day-of-week"));
    }
    word.text.clone()
}

fn from_table<'d>(
    table: &'d DeTable<'d>,
    node: &Node<'_>,
    defaults: &Defaults,
    reporter: &mut Reporter<'_>,
) -> Schedule {
    refuse_unknown_keys(table, TABLE_FIELDS, "a schedule", reporter);
    let fields = Fields::of(table);
    if let Some(assets) = fields.get("assets") {
        let times = (fields.get("cron").is_some() || fields.get("every").is_some())
            .then(|| Box::new(from_times(&fields, node, defaults, reporter)));
        if times.is_none() {
            for key in ["timezone", "data_interval"].into_iter().filter(|key| fields.get(key).is_some()) {
                let message = format!("'{key}' goes with 'cron'; assets alone have no clock");
                reporter.add(Finding::error(fields.span(key), message).help("leave it out, or add 'cron'"));
            }
        }
        return match read_condition(assets, reporter) {
            Some(condition) => Schedule::Assets { condition, times },
            None => Schedule::None,
        };
    }
    from_times(&fields, node, defaults, reporter)
}

fn from_times(fields: &Fields<'_>, node: &Node<'_>, defaults: &Defaults, reporter: &mut Reporter<'_>) -> Schedule {
    match (fields.get("cron"), fields.get("every")) {
        (Some(cron), None) => from_cron(cron, fields, defaults, reporter),
        (None, Some(_)) => {
            if fields.get("timezone").is_some() {
                let finding = Finding::error(fields.span("timezone"), "'timezone' goes with 'cron', not with 'every'");
                reporter.add(finding.help("every 15 minutes is the same in every zone; leave it out"));
            }
            let data_interval = fields.flag("data_interval", reporter);
            let data_interval = data_interval.unwrap_or(defaults.create_delta_data_intervals);
            match fields.positive_duration("every", reporter) {
                Some(interval) => Schedule::Every { interval, data_interval },
                None => Schedule::None,
            }
        }
        (Some(_), Some(_)) => {
            reporter.add(Finding::error(node.span(), "a schedule has either 'cron' or 'every', not both"));
            Schedule::None
        }
        (None, None) => {
            let finding = Finding::error(node.span(), "a schedule needs 'cron', 'every' or 'assets'");
            reporter.add(finding.help("leave 'schedule' out for a DAG that is only run by hand"));
            Schedule::None
        }
    }
}

fn from_cron(node: &Node<'_>, fields: &Fields<'_>, defaults: &Defaults, reporter: &mut Reporter<'_>) -> Schedule {
    let words: Vec<Word> = match node.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(|item| word_of("cron", item, reporter)).collect(),
        DeValue::String(_) => word_of("cron", node, reporter).into_iter().collect(),
        _ => {
            reporter.add(wrong_kind("cron", node, "a cron expression or a list of them"));
            return Schedule::None;
        }
    };
    if words.is_empty() {
        reporter.add(Finding::error(node.span(), "'cron' needs at least one expression"));
        return Schedule::None;
    }
    let expressions: Vec<String> = words.iter().map(|word| cron(word, reporter)).collect();
    let several = expressions.len() > 1;
    let given = fields.flag("data_interval", reporter);
    if several && given == Some(true) {
        let finding = Finding::error(fields.span("data_interval"), "several cron expressions have no data interval");
        reporter.add(finding.help("leave 'data_interval' out, or give one expression"));
    }
    let data_interval = !several && given.unwrap_or(defaults.create_cron_data_intervals);
    Schedule::Cron { expressions, timezone: read_zone(fields, reporter), data_interval }
}

//! From a claim to an operator that is ready to run: template files, templates, parameters, facts.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use windrose_core::cause::Cause;
use windrose_core::claim::Claim;
use windrose_core::outcome::RenderedFields;
use windrose_core::params;
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, Timetable};
use windrose_operators::context::{TaskInfo, TaskServices as _};
use windrose_operators::dag_files::dag_file;
use windrose_operators::error::TaskError;
use windrose_operators::human::asks_people;
use windrose_operators::named_files::file_of_table;
use windrose_operators::operator::{OperatorEntry, Runnable};

use crate::render::{Rendered, Templated, render};
use crate::services::AttemptServices;
use crate::version_folders::Place;
use crate::worker::Shared;

/// The operator with its rendered parameters, and the facts of the attempt.
///
/// # Errors
/// A template or a file that fails, or parameters that are not what the operator needs once they are rendered.
pub(crate) async fn prepare(
    shared: &Shared,
    services: &Arc<AttemptServices>,
) -> Result<(Runnable, TaskInfo), TaskError> {
    let claim = &services.claim;
    let task = claim.task();
    let Some(entry) = (shared.options.operators)(&task.operator) else {
        let message = format!("There is no operator '{}' in this version of Windrose.", task.operator);
        return Err(TaskError::fatal(Cause::Parameters { operator: task.operator.clone(), message }));
    };
    check_params(claim)?;
    let place = shared.versions.place(shared.port.as_ref(), claim).await.map_err(|missing| {
        TaskError::retryable(Cause::Failed { message: format!("The task's files are not there: {missing}.") })
    })?;
    let mut mapped = shared.mapped_values.of(services).await?;
    let mut templated = Templated { parameters: task.parameters.clone(), mapped: mapped.templates() };
    with_file_texts(&place, entry, &mut templated.parameters)?;
    if mapped.are_parameters {
        with_file_texts(&place, entry, &mut templated.mapped)?;
    }
    mapped.arguments.retain(|argument| !argument.is_template);
    let Rendered { parameters, env, context, map_index_name, assets } =
        render(services, entry, templated, mapped).await?;
    assets.into_iter().for_each(|update| services.change_asset(update));
    let fields = services.masker.mask_value(shown(entry, &parameters));
    let map_index_name = map_index_name.map(|name| services.masker.mask(&name).into_owned());
    shared.port.rendered(claim.attempt, RenderedFields { fields, map_index_name });
    let runnable = entry
        .build(parameters)
        .map_err(|message| TaskError::retryable(Cause::Parameters { operator: task.operator.clone(), message }))?;
    let info = task_info(claim, place, shared.options.clock.now(), env, context);
    Ok((runnable, info))
}

/// What people are asked to fill in needs no value yet.
fn check_params(claim: &Claim) -> Result<(), TaskError> {
    let task = claim.task();
    if asks_people(&task.operator) {
        return Ok(());
    }
    let violations = params::check_task(task, &claim.run.conf);
    if violations.is_empty() {
        return Ok(());
    }
    let lines: String = violations.iter().map(|violation| format!("\n  {violation}")).collect();
    let message = format!("its params do not fit:{lines}\nChange the run's conf, or the task's params.");
    Err(TaskError::retryable(Cause::Parameters { operator: task.operator.clone(), message }))
}

/// The facts of an attempt.
pub(crate) fn task_info(
    claim: &Claim,
    place: Place,
    now: Timestamp,
    env: IndexMap<String, String>,
    context: Value,
) -> TaskInfo {
    TaskInfo {
        dag_id: claim.dag.dag_id.clone(),
        run_id: claim.run.run_id.clone(),
        key: claim.key.clone(),
        attempt: claim.attempt,
        try_number: claim.try_number,
        max_tries: claim.task().retries + 1,
        generation: claim.generation,
        run_type: claim.run.run_type,
        next_run_after: next_run_after(claim, now),
        render_native: claim.dag.render_native,
        bundle_folder: place.root,
        dag_folder: place.folder,
        env,
        params: claim.task().params.clone(),
        outlets: claim.task().outlets.clone(),
        sensor: claim.task().sensor,
        first_poke_at: claim.first_poke_at,
        pokes_before: claim.pokes_before,
        superseded: None,
        template_context: context,
    }
}

/// Replaces names of template files by what the files hold.
fn with_file_texts(place: &Place, entry: &OperatorEntry, parameters: &mut Map<String, Value>) -> Result<(), TaskError> {
    for (field, value) in parameters {
        let endings: Vec<_> = entry.template_files(field).collect();
        if !endings.is_empty() {
            read_files(place, field, &endings, value)?;
        }
    }
    Ok(())
}

fn read_files(place: &Place, field: &str, endings: &[&str], value: &mut Value) -> Result<(), TaskError> {
    match value {
        Value::String(text) if endings.iter().any(|ending| text.ends_with(ending)) => {
            *text = read_file(place, field, text)?;
            Ok(())
        }
        Value::Object(_) => {
            let Some(name) = file_of_table(value) else { return Ok(()) };
            *value = read_file(place, field, name)?.into();
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| read_files(place, field, endings, item)),
        _ => Ok(()),
    }
}

fn read_file(place: &Place, field: &str, name: &str) -> Result<String, TaskError> {
    let read = dag_file(&place.root, &place.folder, name)
        .and_then(|path| std::fs::read_to_string(path).map_err(|error| format!("'{name}' cannot be read: {error}")));
    let template_error = |message| Cause::Template { field: field.to_owned(), line: None, message };
    read.map_err(|message| TaskError::retryable(template_error(message)))
}

/// The templated parameters, for people.
fn shown(entry: &OperatorEntry, parameters: &Map<String, Value>) -> Value {
    let fields = entry.template_fields();
    let templated = parameters.iter().filter(|(name, _)| fields.contains(&name.as_str()));
    templated.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}

/// A schedule that cannot be computed was refused when the DAG was loaded; here it counts as none.
fn next_run_after(claim: &Claim, now: Timestamp) -> Option<Timestamp> {
    let timetable = Timetable::new(&claim.dag.schedule, claim.dag.timezone).ok()?;
    let moment = claim.run.logical_date.unwrap_or(claim.run.run_after);
    let interval = claim.run.data_interval.unwrap_or(DataInterval { start: moment, end: moment });
    let bounds = Bounds { earliest: None, latest: None, catchup: true };
    timetable.next_run(Some(interval), &bounds, now).ok().flatten().map(|run| run.run_after)
}

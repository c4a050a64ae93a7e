//! Rendering the templates of an attempt's parameters.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use windrose_core::asset::{AssetEvent, AssetUpdate, Outlet, normalise};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;
use windrose_core::run_state::RunType;
use windrose_core::template::{
    AssetEventQuery, Lookup, PreviousSuccess, Renderer, TemplateContext, TemplateError, XComQuery, context_json,
    needs_rendering,
};
use windrose_operators::context::TaskServices;
use windrose_operators::error::TaskError;
use windrose_operators::operator::OperatorEntry;

use crate::mapping::Mapped;
use crate::patience::patiently;
use crate::services::AttemptServices;

/// What rendering makes of a task.
pub(crate) struct Rendered {
    /// The operator's parameters.
    pub(crate) parameters: Map<String, Value>,
    /// The task's environment variables.
    pub(crate) env: IndexMap<String, String>,
    /// The template context as JSON.
    pub(crate) context: Value,
    /// What `map_index_template` became.
    pub(crate) map_index_name: Option<String>,
    /// What the task's outlets became: the assets it changes if it succeeds.
    pub(crate) assets: Vec<AssetUpdate>,
}

/// What is rendered.
#[derive(Debug, Clone)]
pub(crate) struct Templated {
    /// The operator's parameters, as written.
    pub(crate) parameters: Map<String, Value>,
    /// Arguments of a mapped instance that stand in the DAG file.
    pub(crate) mapped: Map<String, Value>,
}

impl Templated {
    fn needs_rendering(&self, fields: &[&str]) -> bool {
        let is_field = |name: &str| fields.contains(&name);
        self.parameters.iter().any(|(name, value)| is_field(name) && needs_rendering(value))
            || self.mapped.values().any(needs_rendering)
    }
}

/// Renders every text of a notifier's parameters, and nothing of the task's own: that may be what has failed.
pub(crate) async fn render_notifier(
    services: &Arc<AttemptServices>,
    parameters: Map<String, Value>,
) -> Result<Map<String, Value>, TaskError> {
    let notification = services.notification.clone();
    let ctx = Arc::new(TemplateContext { notification, ..TemplateContext::of_claim(&services.claim, services.now()) });
    let lookup: Arc<dyn Lookup> =
        Arc::new(TemplateLookup { services: Arc::clone(services), runtime: Handle::current() });
    let rendering = move || {
        let renderer = Renderer::new(&ctx, &lookup);
        let render = |(name, value): (String, Value)| renderer.render(&value, &name, false).map(|value| (name, value));
        parameters.into_iter().map(render).collect::<Result<Map<_, _>, TemplateError>>()
    };
    let rendered = tokio::task::spawn_blocking(rendering)
        .await
        .map_err(|error| TaskError::failed(format!("rendering the templates failed: {error}")))?;
    rendered.map_err(|error| TaskError::failed(format!("the template in '{}' fails: {}", error.field, error.message)))
}

/// Renders the templated parameters and the task's environment. Templates that look something up wait for it on a
/// thread of their own, so that a slow secret holds up nothing else.
pub(crate) async fn render(
    services: &Arc<AttemptServices>,
    entry: &'static OperatorEntry,
    templated: Templated,
    mapped: Mapped,
) -> Result<Rendered, TaskError> {
    let claim = &services.claim;
    let ctx = TemplateContext::of_claim(claim, services.now());
    let env: Map<String, Value> = claim.task().env.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    let fields = entry.template_fields();
    let named = claim.task().map_index_template.is_some();
    let sees_assets = claim.run.run_type == RunType::AssetTriggered
        || !claim.task().inlets.is_empty()
        || !claim.task().outlets.is_empty();
    let waits = templated.needs_rendering(fields) || env.values().any(needs_rendering) || named || sees_assets;
    let lookup: Arc<dyn Lookup> =
        Arc::new(TemplateLookup { services: Arc::clone(services), runtime: Handle::current() });
    let native = claim.dag.render_native;
    let rendering = move || render_all(ctx, &lookup, fields, (templated, mapped), env, native);
    let rendered = if waits {
        tokio::task::spawn_blocking(rendering).await.map_err(|error| {
            TaskError::retryable(Cause::Internal { message: format!("rendering the templates failed: {error}") })
        })?
    } else {
        rendering()
    };
    rendered.map_err(|error| {
        TaskError::retryable(Cause::Template { field: error.field, line: error.line, message: error.message })
    })
}

fn render_all(
    mut ctx: TemplateContext,
    lookup: &Arc<dyn Lookup>,
    fields: &[&str],
    (templated, mapped): (Templated, Mapped),
    env: Map<String, Value>,
    native: bool,
) -> Result<Rendered, TemplateError> {
    let is_field = |name: &String| fields.contains(&name.as_str());
    let unmapped = Arc::new(ctx.clone());
    let renderer = Renderer::new(&unmapped, lookup);
    for (name, value) in templated.mapped {
        // As anywhere else, a parameter that is no template field stays as it is written.
        let raw = mapped.are_parameters && !is_field(&name);
        let value = if raw { value } else { renderer.render(&value, &name, native)? };
        ctx.mapped.insert(name, value);
    }
    ctx.mapped.extend(mapped.arguments.into_iter().map(|argument| (argument.name, argument.value)));
    let ctx = Arc::new(ctx);
    let renderer = Renderer::new(&ctx, lookup);
    let mut parameters = templated.parameters;
    for (name, value) in parameters.iter_mut().filter(|(name, _)| is_field(name)) {
        *value = renderer.render(value, name, native)?;
    }
    if mapped.are_parameters {
        parameters.extend(ctx.mapped.clone());
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let name_template = ctx.task().map_index_template.as_deref().filter(|_| ctx.map_index >= 0);
    let map_index_name = name_template
        .map(|template| renderer.render(&Value::from(template), "map_index_template", false))
        .transpose()?
        .map(|name| text(&name));
    let env = renderer.render(&Value::Object(env), "env", false)?;
    let env = env.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
    let mut context = context_json(&ctx);
    if ctx.run.run_type == RunType::AssetTriggered || !ctx.task().inlets.is_empty() {
        (context["triggering_asset_events"], context["inlet_events"]) = renderer.asset_events()?;
    }
    let assets = rendered_outlets(&ctx.task().outlets, &renderer)?;
    Ok(Rendered { parameters, env, context, map_index_name, assets })
}

/// An alias without a URI changes nothing by itself: the task's code says what came through it.
fn rendered_outlets(outlets: &[Outlet], renderer: &Renderer) -> Result<Vec<AssetUpdate>, TemplateError> {
    let mut updates = Vec::new();
    for (place, outlet) in outlets.iter().enumerate() {
        let (uri, aliases, extra) = match outlet {
            Outlet::Asset { uri, extra } => (uri.clone(), Vec::new(), extra),
            Outlet::Alias { uri: None, .. } => continue,
            Outlet::Alias { alias, uri: Some(uri), extra } => {
                let field = format!("outlets[{place}].uri");
                let text = renderer.render(&Value::from(uri.as_str()), &field, false)?;
                let uri = normalise(text.as_str().unwrap_or_default()).map_err(|message| TemplateError {
                    field,
                    line: None,
                    column: None,
                    message,
                })?;
                (uri, vec![alias.clone()], extra)
            }
        };
        let extra = renderer.render(&Value::Object(extra.clone()), &format!("outlets[{place}].extra"), false)?;
        updates.push(AssetUpdate { uri, aliases, extra: extra.as_object().cloned().unwrap_or_default() });
    }
    Ok(updates)
}

/// Lookups of templates. They block, so they are made on a blocking thread only.
struct TemplateLookup {
    services: Arc<AttemptServices>,
    runtime: Handle,
}

impl TemplateLookup {
    fn wait<T>(&self, asking: impl Future<Output = Result<T, TaskError>>) -> Result<T, String> {
        self.runtime.block_on(asking).map_err(|error| error.to_string())
    }
}

impl Lookup for TemplateLookup {
    fn variable(&self, key: &str) -> Result<Option<String>, String> {
        self.wait(self.services.variable(key))
    }

    fn connection(&self, conn_id: &str) -> Result<Option<Connection>, String> {
        self.wait(self.services.find_connection(conn_id))
    }

    fn xcom(&self, query: &XComQuery) -> Result<Vec<Value>, String> {
        let claim = &self.services.claim;
        let elsewhere = query.dag_id.as_deref().is_some_and(|dag| dag != claim.dag.dag_id.as_str())
            || query.run_id.as_deref().is_some_and(|run| run != claim.run.run_id.as_str());
        if elsewhere || query.include_prior_dates {
            let call = || self.services.port.xcom_elsewhere(&claim.run, query);
            let found = self.runtime.block_on(patiently("xcom_elsewhere", &self.services.cancelled, call));
            return Ok(found.map_err(|error| error.to_string())?.into_iter().collect());
        }
        let pulled = self.wait(self.services.xcom_pull(&query.task_id, query.map_index, &query.key))?;
        Ok(pulled.into_iter().collect())
    }

    fn asset_events(&self, query: &AssetEventQuery) -> Result<Vec<AssetEvent>, String> {
        let services = &self.services;
        let call = || services.port.asset_events(services.claim.key.run, query);
        self.runtime.block_on(patiently("asset_events", &services.cancelled, call)).map_err(|error| error.to_string())
    }

    fn previous_success(&self) -> Result<Option<PreviousSuccess>, String> {
        let services = &self.services;
        let call = || services.port.previous_success(services.claim.key.run);
        let found = self.runtime.block_on(patiently("previous_success", &services.cancelled, call));
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.map(|run| PreviousSuccess {
            data_interval: run.data_interval,
            started_at: run.started_at,
            ended_at: run.ended_at,
        }))
    }
}

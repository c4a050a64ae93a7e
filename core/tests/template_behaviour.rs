//! What templates do beyond the vectors: bounds, errors, the DAG file's constants, dates.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod template_world;

use std::sync::Arc;

use serde_json::{Value, json};
use template_world::World;
use windrose_core::template::{Lookup, Renderer, TemplateError, check_syntax, context_json, needs_rendering, render};

fn world() -> World {
    World::of(&json!({
        "dag": {"dag_id": "d", "params": {"limit": 5, "cols": ["a", "b"]}},
        "task": {"task_id": "t", "upstream": ["up"]},
        "run_id": "scheduled__1", "run_type": "scheduled",
        "logical_date": "2024-03-10T00:00:00+00:00",
        "data_interval_start": "2024-03-10T00:00:00+00:00",
        "data_interval_end": "2024-03-11T00:00:00+00:00",
        "run_after": "2024-03-11T00:00:00+00:00",
        "conf": {},
        "variables": {"who": "me", "secret": "{hunter2"},
        "connections": {"c": "x://u:hunter2@h"},
        "xcoms": [{"task_id": "up", "value": [1, {"a": 1.5}]}],
    }))
}

fn render_in(world: &World, template: &Value, native: bool) -> Result<Value, TemplateError> {
    let lookup: Arc<dyn Lookup> = Arc::new(world.clone());
    render(template, "sql", &world.context(), &lookup, native)
}

fn text(template: &str) -> String {
    let rendered = render_in(&world(), &json!(template), false).unwrap_or_else(|e| panic!("{template}: {e}"));
    rendered.as_str().unwrap().to_owned()
}

fn error(template: &str) -> TemplateError {
    match render_in(&world(), &json!(template), false) {
        Ok(got) => panic!("{template} is not refused but renders as {got}"),
        Err(error) => error,
    }
}

/// Each line is a template, `=>`, and what Python's Jinja2 in Airflow makes of it.
fn all_render(cases: &str) {
    for case in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (template, expected) = case.split_once(" => ").unwrap();
        assert_eq!(text(template), expected, "{template}");
    }
}

#[test]
fn operators_keep_their_precedence() {
    all_render(
        "{{ 1 + 2 * 3 }} => 7
         {{ (1 + 2) * 3 }} => 9
         {{ 10 - 2 - 3 }} => 5
         {{ 10 - (2 - 3) }} => 11
         {{ -2 ** 2 }} => 4
         {{ 7 // 2 * 2 + 7 % 2 }} => 7
         {{ 'a' ~ (1 + 1) }}{{ 1 ~ 2 * 3 }} => a216
         {{ 1 + 1 if 2 - 1 else 0 - 1 }} => 2
         {{ [1 + 1, 2 * 2][0 + 1] }} => 4
         {{ {'a': 1 - 2}['a'] - 1 }} => -2
         {{ params.limit-1 }} => 4
         {{ [3, 1, 2] | sort | first - 1 }} => 0",
    );
}

#[test]
fn an_operator_may_stand_on_its_own_line() {
    assert_eq!(text("{{ 1\n +\n 2\n - (3\n - 4) }}\n\n"), "4\n");
}

#[test]
fn lists_and_dicts_can_be_changed_as_in_python() {
    all_render(
        "{% set l = [] %}{% for i in range(3) %}{% do l.append(i * 2) %}{% endfor %}{{ l }} => [0, 2, 4]
         {% set d = {} %}{% do d.update({'a': 1}) %}{% set _ = d.setdefault('b', []) %}{{ d }} => {'a': 1, 'b': []}
         {% set l = 'b,a'.split(',') %}{% do l.sort() %}{{ l }}{{ l.pop() }}{{ l }} => ['a', 'b']b['a']
         {% set l = [1, 2] %}{% set m = l + [3] %}{% do m.insert(0, 0) %}{{ l }} {{ m }} => [1, 2] [0, 1, 2, 3]
         {{ {'a': [1, 'x']}.items() | list }} => [('a', [1, 'x'])]
         {{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ [1] < [2] }} => True True True
         {{ (1,) }} {{ [1.0, 1e20, 1e-7, none] }} => (1,) [1.0, 1e+20, 1e-07, None]",
    );
}

#[test]
fn a_list_that_would_hold_itself_is_refused() {
    let error = error("{% set a = [] %}{% set b = [a] %}{% do a.append(b) %}{{ a }}");
    assert!(error.message.contains("into itself"), "{error}");
}

#[test]
fn what_a_template_does_to_params_the_next_field_sees() {
    let world = world();
    let lookup: Arc<dyn Lookup> = Arc::new(world.clone());
    let renderer = Renderer::new(&world.context(), &lookup);
    renderer.render(&json!("{% do params.cols.append('z') %}"), "a", false).unwrap();
    assert_eq!(renderer.render(&json!("{{ params.cols }}"), "b", false).unwrap(), "['a', 'b', 'z']");
}

#[test]
fn dates_are_moved_compared_and_written_as_by_pendulum() {
    all_render(
        "{{ logical_date.add(months=-1, days=19) | ds }} => 2024-02-29
         {{ logical_date.subtract(years=1).isoformat() }} => 2023-03-10T00:00:00+00:00
         {{ (logical_date + macros.timedelta(hours=5, minutes=30)).strftime('%H:%M') }} => 05:30
         {{ logical_date.end_of('month') }} => 2024-03-31 23:59:59.999999+00:00
         {{ logical_date.start_of('week') | ds }} => 2024-03-04
         {{ logical_date.in_tz('America/New_York').add(days=1) }} => 2024-03-10 19:00:00-04:00
         {{ logical_date.in_tz('America/New_York').strftime('%z %Z') }} => -0500 EST
         {{ data_interval_end > data_interval_start }} => True
         {{ (data_interval_end - data_interval_start).days }} => 1
         {{ data_interval_start.date() + macros.timedelta(days=1) }} => 2024-03-11
         {{ macros.datetime(2024, 1, 31, 8) + macros.dateutil.relativedelta.relativedelta(months=1) }} => 2024-02-29 08:00:00
         {{ macros.datetime.strptime('2024-02-30T10:00:00+0200'[:8] ~ '01', '%Y-%m-%d').isoformat() }} => 2024-02-01T00:00:00
         {{ macros.timedelta(days=-1, hours=1) }} => -1 day, 1:00:00
         {{ macros.timedelta(days=3) / 2 }} {{ 2 * macros.timedelta(seconds=1.5) }} => 1 day, 12:00:00 0:00:03
         {{ logical_date.format('ddd, D MMM YYYY [at] h:mm A Do Q') }} => Sun, 10 Mar 2024 at 12:00 AM 10th 1
         {{ logical_date.replace(hour=5, minute=6).to_datetime_string() }} => 2024-03-10 05:06:00
         {{ logical_date.strftime('%-d/%-m/%y %j %f %% %Q') }} => 10/3/24 070 000000 % %Q
         {{ logical_date.next(0) | ds }} {{ logical_date.previous(6) | ds }} => 2024-03-11 2024-03-03
         {{ logical_date.days_in_month }} {{ logical_date.quarter }} {{ logical_date.week_of_year }} => 31 1 10",
    );
}

#[test]
fn texts_have_pythons_methods_and_formats() {
    all_render(
        "{{ '%05.1f|%s|%d%%' % (2.25, 'x', 7) }} => 002.2|x|7%
         {{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 7} }} => x-007
         {{ '{}-{:>4}'.format('a', 7) }} => a-   7
         {{ '7'.zfill(3) }} {{ 'ab'.rjust(4, '.') }} {{ 'a/b/c'.rsplit('/', 1) }} => 007 ..ab ['a/b', 'c']
         {{ 's3://b/k'.removeprefix('s3://').partition('/') }} => ('b', '/', 'k')
         {{ 'x' in 'axb' }} {{ 'A-b'.lower() | title }} => True A-B
         {{ ['a', none, 1.0] | join('|') }} => a|None|1.0
         {{ {'b': \"<'&é\", 'a': [1.0, none]} | tojson }} => {\"a\": [1.0, null], \"b\": \"\\u003c\\u0027\\u0026\\u00e9\"}
         {{ macros.json.dumps({'b': 'é', 'a': 1}, sort_keys=true, ensure_ascii=false) }} => {\"a\": 1, \"b\": \"é\"}
         {{ macros.json.loads('[1, 2.5]')[1] + 1 }} => 3.5",
    );
}

#[test]
fn constants_of_the_file_may_name_each_other_but_not_themselves() {
    let mut world = world();
    world.vars = json!({
        "bucket": "b-{{ var.value.who }}",
        "key": "{{ vars.bucket }}/{{ ds }}",
        "list": ["{{ ds }}", 1],
        "circle": "{{ vars.round }}",
        "round": "{{ vars.circle }}",
    })
    .as_object()
    .unwrap()
    .clone();
    let got = render_in(&world, &json!("{{ vars.key }} {{ vars.list[0] }} {{ vars.bucket }}"), false).unwrap();
    assert_eq!(got, "b-me/2024-03-10 2024-03-10 b-me");
    let error = render_in(&world, &json!("{{ vars.circle }}"), false).unwrap_err();
    assert!(error.message.contains("refers to itself"), "{error}");
    let error = render_in(&world, &json!("{{ vars.nope }}"), false).unwrap_err();
    assert_eq!(error.message, "'vars.nope' is undefined");
}

#[test]
fn an_error_says_where_what_and_what_to_write_instead() {
    let nested = json!({"a": [1, {"b": "x\n\n{{ logical_dat }}"}]});
    let error = render_in(&world(), &nested, false).unwrap_err();
    assert_eq!((error.field.as_str(), error.line), ("sql.a[1].b", Some(3)));
    assert_eq!(error.message, "'logical_dat' is undefined; did you mean 'logical_date'?");
    assert_eq!(
        error.to_string(),
        "sql.a[1].b, line 3, column 4: 'logical_dat' is undefined; did you mean 'logical_date'?"
    );

    let removed = super_error("{{ execution_date }}");
    assert!(removed.contains("use logical_date"), "{removed}");
    let in_operator = super_error("{{ nope + 1 }}");
    assert!(in_operator.contains("undefined"), "{in_operator}");
}

fn super_error(template: &str) -> String {
    error(template).to_string()
}

#[test]
fn syntax_is_checked_without_rendering() {
    assert_eq!(check_syntax("{{ anything_at_all.x | upper }} {% do x.append(1) %}"), Ok(()));
    let filter = check_syntax("a\n{{ x | uper }}").unwrap_err();
    assert_eq!(
        (filter.line, filter.message.as_str()),
        (Some(2), "there is no filter named 'uper'; did you mean 'upper'?")
    );
    let broken = check_syntax("{{ ds").unwrap_err();
    assert_eq!(broken.line, Some(1));
    for bad in
        ["{% if %}", "{{ }}", "{% foo %}", "{% for x in y %}", "{% include 'x' %}", "{{ 'a' is tall }}", "{% endif %}"]
    {
        assert!(check_syntax(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_filter_and_test_that_passes_the_check_exists() {
    // The check knows them from a list of its own; the engine says `unknown` if the list is wrong.
    for known in windrose_core::template::known_filters() {
        let result = render_in(&world(), &json!(format!("{{{{ 'a' | {known} }}}}")), false);
        let message = result.map_or_else(|error| error.message, |_| String::new());
        assert!(!message.contains("no such filter"), "{known}: {message}");
    }
}

#[test]
fn template_bombs_run_out_of_steps() {
    let bombs = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='xxxxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 999999999 }}",
        "{{ 'x'.rjust(999999999999) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ [1] * 99999999 }}",
        "{{ 2 ** 99999999 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    ];
    for bomb in bombs {
        let error = error(bomb);
        assert!(!error.message.is_empty(), "{bomb}");
    }
}

#[test]
fn deep_values_are_dropped_without_recursion() {
    let deep = "{% set ns = namespace(x=[]) %}{% for i in range(20000) %}{% set ns.x = [ns.x] %}{% endfor %}ok";
    assert_eq!(text(deep), "ok");
    let heads = "{% set ns = namespace(x=[]) %}{% set top = ns.x %}{% for i in range(20000) %}{% set n = [] %}\
                 {% do ns.x.append(n) %}{% set ns.x = n %}{% endfor %}ok";
    assert_eq!(text(heads), "ok");
}

#[test]
fn secrets_do_not_show_in_errors_or_in_a_connections_text() {
    assert!(!super_error("{{ var.json.secret }}").contains("hunter2"));
    assert!(!text("{{ conn.c }}").contains("hunter2"));
    assert!(!super_error("{{ conn.c.nope }}").contains("hunter2"));
    let error = error("{{ conn.c.password + 1 }}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn a_text_without_a_template_needs_no_rendering_but_loses_one_newline() {
    assert!(!needs_rendering(&json!({"a": ["x", 1, null], "{{ key }}": "y"})));
    assert!(needs_rendering(&json!({"a": ["{{ ds }}"]})));
    assert_eq!(render_in(&world(), &json!("a\r\nb\n\n"), false).unwrap(), "a\nb\n");
}

#[test]
fn native_rendering_reads_python_literals() {
    let cases = [
        ("{{ 1 }}", json!(1)),
        ("[1, 'a', (2, 3), {'k': None}]", json!([1, "a", [2, 3], {"k": null}])),
        ("{1, 2}", json!([1, 2])),
        ("0x1F", json!(31)),
        ("-1.5e3", json!(-1500.0)),
        ("'a' \"b\"", json!("ab")),
        ("'it\\'s\\n'", json!("it's\n")),
        ("1 + 1", json!("1 + 1")),
        ("01", json!("01")),
        ("2024-10-01", json!("2024-10-01")),
        ("a: b", json!("a: b")),
        ("[1, 2", json!("[1, 2")),
        ("True", json!(true)),
        ("Truest", json!("Truest")),
        ("123456789012345678901234567890", json!("123456789012345678901234567890")),
        ("{{ [] }}", json!([])),
        ("é", json!("é")),
    ];
    for (template, expected) in cases {
        assert_eq!(render_in(&world(), &json!(template), true).unwrap(), expected, "{template}");
    }
    assert!(render_in(&world(), &json!("[".repeat(5000)), true).unwrap().is_string());
}

#[test]
fn processes_get_the_context_as_json() {
    let context = context_json(&world().context());
    assert_eq!(context["ds"], "2024-03-10");
    assert_eq!(context["logical_date"], "2024-03-10T00:00:00+00:00");
    assert_eq!(context["params"], json!({"limit": 5, "cols": ["a", "b"]}));
    assert_eq!(context["ti"]["try_number"], 1);
}

//! DAGs in git: pushes that go live, versions that runs keep, and everything that can go wrong with a repository.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use serde_json::Value;
use windrose_testkit::process::{Standalone, Workspace, wait_until};
use windrose_testkit::{GitWorkshop, TestDatabase};

/// A workspace whose only bundle is the repository.
fn workspace(workshop: &GitWorkshop, database: Option<&str>) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    configure(
        &workspace,
        &format!(
            "[[bundles]]\nname = \"data\"\ntype = \"git\"\nrepo_url = \"{}\"\ntracking_ref = \"main\"\n",
            workshop.url()
        ),
    );
    workspace
}

fn configure(workspace: &Workspace, text: &str) {
    std::fs::write(workspace.path().join("windrose.toml"), text).unwrap();
}

fn dag(command: &str) -> String {
    let command = command.replace("echo ", "echo SAID ");
    format!("[tasks.say]\noperator = \"bash\"\nbash_command = \"{command}\"\n")
}

/// Has the repository asked, and waits until this commit is taken in.
fn taken_in(workspace: &Workspace, commit: &str) {
    workspace.ok(&["bundles", "refresh"]);
    wait_until("the commit", || {
        let bundle = &workspace.json(&["bundles", "list"])[0];
        if bundle["commit"] == commit && bundle["trouble"].is_null() { Ok(()) } else { Err(bundle.to_string()) }
    });
}

fn trouble(workspace: &Workspace) -> String {
    workspace.ok(&["bundles", "refresh"]);
    wait_until("the trouble", || {
        let bundle = &workspace.json(&["bundles", "list"])[0];
        bundle["trouble"].as_str().map(str::to_owned).ok_or_else(|| bundle.to_string())
    })
}

fn versions(workspace: &Workspace, dag_id: &str) -> Vec<Value> {
    workspace.json(&["dags", "versions", dag_id]).as_array().unwrap().clone()
}

fn start(workspace: &Workspace, commit: &str) -> Standalone {
    let standalone = workspace.standalone();
    taken_in(workspace, commit);
    standalone
}

/// What a new run says.
fn said(workspace: &Workspace, dag_id: &str, run_id: &str) -> String {
    workspace.ok(&["dags", "trigger", dag_id, "--run-id", run_id, "--wait"]);
    heard(workspace, dag_id, run_id)
}

fn heard(workspace: &Workspace, dag_id: &str, run_id: &str) -> String {
    let log = workspace.task_log(dag_id, run_id, "say");
    let word = log.lines().rev().find_map(|line| line.split_once("SAID ")).map(|(_, word)| word.trim().to_owned());
    word.unwrap_or(log)
}

fn a_push_goes_live_and_its_version_knows_commit_and_author(database: Option<&str>) {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo one"));
    let first = workshop.publish("Greet");
    let workspace = workspace(&workshop, database);
    let _standalone = start(&workspace, &first);
    assert_eq!(said(&workspace, "greet", "r1"), "one");
    workshop.write("greet.toml", dag("echo two"));
    let second = workshop.publish("Greet twice");
    taken_in(&workspace, &second);
    assert_eq!(said(&workspace, "greet", "r2"), "two");
    let versions = versions(&workspace, "greet");
    assert_eq!(versions.len(), 2);
    let newest = &versions[0];
    assert_eq!((&newest["commit"], &newest["author"]), (&second.as_str().into(), &"Ada <ada@example.com>".into()));
    assert_eq!(
        (&newest["subject"], &newest["runs"], &newest["current"]),
        (&"Greet twice".into(), &1.into(), &true.into())
    );
    let diff = workspace.ok(&["dags", "diff", "greet"]);
    assert!(
        diff.contains("-bash_command = \"echo SAID one\"") && diff.contains("+bash_command = \"echo SAID two\""),
        "{diff}"
    );
}

#[test]
fn a_push_goes_live_on_sqlite() {
    a_push_goes_live_and_its_version_knows_commit_and_author(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_live_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    let test = move || a_push_goes_live_and_its_version_knows_commit_and_author(Some(&url));
    tokio::task::spawn_blocking(test).await.unwrap();
}

#[test]
fn comments_and_the_order_of_keys_make_no_version() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo one"));
    let first = workshop.publish("Greet");
    let workspace = workspace(&workshop, None);
    let standalone = start(&workspace, &first);
    workshop.write("greet.toml", "# why\n[tasks.say]\nbash_command = 'echo SAID one'\noperator = \"bash\" # what\n");
    let second = workshop.publish("Explain");
    taken_in(&workspace, &second);
    assert_eq!(versions(&workspace, "greet").len(), 1);
    standalone.kill();
    let _standalone = start(&workspace, &second);
    assert_eq!(versions(&workspace, "greet").len(), 1);
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_says_who_broke_it() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo one"));
    workshop.write("other.toml", dag("echo other one"));
    let first = workshop.publish("Both");
    let workspace = workspace(&workshop, None);
    let _standalone = start(&workspace, &first);
    workshop.write("greet.toml", "[tasks.say]\noperator = \"bahs\"\nbash_command = \"echo two\"\n");
    workshop.write("other.toml", dag("echo other two"));
    let second = workshop.publish("Break one, mend another");
    taken_in(&workspace, &second);
    assert_eq!(said(&workspace, "greet", "r1"), "one");
    assert_eq!(said(&workspace, "other", "r1"), "other two");
    let listed = workspace.run(&["dags", "list"]);
    let errors = String::from_utf8(listed.stderr).unwrap();
    for part in ["greet.toml", &second[..12], "Ada <ada@example.com>", "greet.toml:2:12", "did you mean 'bash'?"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn a_retry_runs_the_script_that_the_first_try_ran() {
    let workshop = GitWorkshop::new();
    let text = "[tasks.say]\noperator = \"python\"\npython_callable = \"scripts/say.py:main\"\nretries = 1\nretry_delay = \"1s\"\n";
    workshop.write("team/greet.toml", text);
    workshop.write("team/scripts/words.py", "WORD = 'one'\n");
    let script = "import os, words\ndef main():\n    gate = os.environ['GATE']\n    if not os.path.exists(gate):\n        open(gate + '.seen', 'w').close()\n        raise ValueError('not yet')\n    print('SAID', words.WORD)\n";
    workshop.write("team/scripts/say.py", script);
    let first = workshop.publish("A script");
    let mut workspace = workspace(&workshop, None);
    let gate = workspace.path().join("gate");
    workspace.set_env("GATE", gate.to_str().unwrap());
    let standalone = start(&workspace, &first);
    workspace.ok(&["dags", "trigger", "greet", "--run-id", "r1"]);
    wait_until(
        "the first try",
        || if gate.with_extension("seen").exists() { Ok(()) } else { Err("no try".to_owned()) },
    );
    workshop.write("team/scripts/words.py", "WORD = 'two'\n");
    let second = workshop.publish("Another word");
    taken_in(&workspace, &second);
    standalone.kill();
    // Another machine has no folders of versions.
    let _ = std::fs::remove_dir_all(workspace.path().join(".windrose/versions"));
    std::fs::write(&gate, "").unwrap();
    let _standalone = start(&workspace, &second);
    assert_eq!(workspace.run_to_end("greet", "r1").state(), "success");
    assert_eq!(heard(&workspace, "greet", "r1"), "one");
    assert_eq!(said(&workspace, "greet", "r2"), "two");
    let diff = workspace.ok(&["dags", "diff", "greet"]);
    assert!(diff.contains("team/scripts/words.py") && diff.contains("-WORD = 'one'"), "{diff}");
}

#[test]
fn new_runs_get_an_older_version_until_the_file_changes() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo good"));
    let first = workshop.publish("Good");
    let workspace = workspace(&workshop, None);
    let standalone = start(&workspace, &first);
    workshop.write("greet.toml", dag("echo bad"));
    let second = workshop.publish("Bad");
    taken_in(&workspace, &second);
    workspace.ok(&["dags", "rollback", "greet", &first[..10]]);
    wait_until("the rollback", || {
        let word = said(
            &workspace,
            "greet",
            &format!("r{}", workspace.json(&["runs", "list", "greet"]).as_array().unwrap().len()),
        );
        if word == "good" { Ok(()) } else { Err(word) }
    });
    standalone.kill();
    let _standalone = start(&workspace, &second);
    assert_eq!(said(&workspace, "greet", "after"), "good");
    assert!(workspace.ok(&["dags", "versions", "greet"]).contains("current, by rollback"));
    workshop.write("greet.toml", dag("echo better"));
    let third = workshop.publish("Better");
    taken_in(&workspace, &third);
    assert_eq!(said(&workspace, "greet", "mended"), "better");
}

#[test]
fn what_a_repository_lost_is_listed_and_comes_back_with_its_history() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo one"));
    workshop.write("other.toml", dag("echo other"));
    let first = workshop.publish("Both");
    let workspace = workspace(&workshop, None);
    let _standalone = start(&workspace, &first);
    assert_eq!(said(&workspace, "greet", "r1"), "one");
    workshop.remove("greet.toml");
    taken_in(&workspace, &workshop.publish("Without it"));
    let greet = |workspace: &Workspace| workspace.json(&["dags", "show", "greet"]);
    assert_eq!(greet(&workspace)["absent"], true);
    assert!(workspace.ok(&["dags", "list"]).contains("file is gone"));
    workshop.write("moved/here/greet.toml", dag("echo one"));
    taken_in(&workspace, &workshop.publish("Moved"));
    assert_eq!(
        (&greet(&workspace)["absent"], &greet(&workspace)["file"]),
        (&false.into(), &"moved/here/greet.toml".into())
    );
    assert_eq!(versions(&workspace, "greet").len(), 1);
    assert_eq!(workspace.json(&["runs", "list", "greet"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_repository_that_vanishes_stops_nothing() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo one"));
    let first = workshop.publish("Greet");
    let workspace = workspace(&workshop, None);
    let standalone = start(&workspace, &first);
    std::fs::rename(workshop.origin(), workshop.path("away")).unwrap();
    assert!(trouble(&workspace).contains("origin.git"));
    assert_eq!(said(&workspace, "greet", "r1"), "one");
    standalone.kill();
    let standalone = workspace.standalone();
    assert_eq!(said(&workspace, "greet", "r2"), "one");
    standalone.kill();
    std::fs::remove_dir_all(workspace.path().join(".windrose/bundles")).unwrap();
    let _standalone = workspace.standalone();
    assert_eq!(said(&workspace, "greet", "r3"), "one", "the database knows it too");
    std::fs::rename(workshop.path("away"), workshop.origin()).unwrap();
    taken_in(&workspace, &first);
    assert_eq!(workspace.json(&["dags", "show", "greet"])["absent"], false);
}

#[test]
fn two_bundles_never_share_an_id_silently() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo git"));
    workshop.write("only.toml", dag("echo only"));
    workshop.publish("Greet");
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let git = format!("[[bundles]]\nname = \"data\"\ntype = \"git\"\nrepo_url = \"{}\"\n", workshop.url());
    configure(&workspace, &format!("[[bundles]]\nname = \"here\"\ntype = \"local\"\npath = \"dags\"\n\n{git}"));
    workspace.write_dag("greet.toml", &dag("echo folder"));
    let _standalone = workspace.standalone();
    let errors = wait_until("the collision", || {
        let errors = String::from_utf8(workspace.run(&["dags", "list"]).stderr).unwrap();
        if errors.contains("already used by greet.toml of the bundle 'here'") { Ok(errors) } else { Err(errors) }
    });
    assert!(errors.contains("data"), "{errors}");
    assert_eq!(said(&workspace, "greet", "r1"), "folder");
    assert_eq!(said(&workspace, "only", "r1"), "only");
    std::fs::remove_file(workspace.path().join("dags/greet.toml")).unwrap();
    wait_until("the other one", || {
        let file = workspace.json(&["dags", "show", "greet"]);
        if file["bundle"] == "data" && file["absent"] == false { Ok(()) } else { Err(file.to_string()) }
    });
    assert_eq!(said(&workspace, "greet", "r2"), "git");
}

#[test]
fn a_local_bundle_sees_changed_scripts_and_statements() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("say.sh", "echo SAID one");
    workspace.write_dag("greet.toml", &dag("say.sh"));
    workspace.write_dag("missing.toml", "[tasks.say]\noperator = \"bash\"\nbash_command = { file = \"nowhere.sh\" }\n");
    let _standalone = workspace.standalone();
    assert_eq!(said(&workspace, "greet", "r1"), "one");
    let errors = String::from_utf8(workspace.run(&["dags", "list"]).stderr).unwrap();
    assert!(errors.contains("missing.toml:3:") && errors.contains("there is no file 'nowhere.sh'"), "{errors}");
    workspace.write_dag("say.sh", "echo SAID two");
    workspace.write_dag("nowhere.sh", "echo SAID here");
    wait_until("the new version", || {
        let versions = versions(&workspace, "greet").len();
        if versions == 2 { Ok(()) } else { Err(versions.to_string()) }
    });
    assert_eq!(said(&workspace, "greet", "r2"), "two");
    wait_until("the mended DAG", || {
        let listed = workspace.ok(&["dags", "list"]);
        if listed.contains("missing") { Ok(()) } else { Err(listed) }
    });
    assert_eq!(said(&workspace, "missing", "r1"), "here");
    workspace.write_dag("nowhere.sh", "echo SAID there");
    wait_until("the new version of a DAG that came later", || {
        let versions = versions(&workspace, "missing").len();
        if versions == 2 { Ok(()) } else { Err(versions.to_string()) }
    });
    assert_eq!(said(&workspace, "missing", "r2"), "there");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_at_the_start() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let refused = |text: &str| {
        configure(&workspace, text);
        workspace.refused(&["standalone", "--bind", "127.0.0.1:0"])
    };
    let git = |more: &str| format!("[[bundles]]\nname = \"data\"\ntype = \"git\"\n{more}\n");
    assert!(refused(&git("repo_url = \"ext::sh -c touch% pwned\"")).contains("transport that is not allowed"));
    assert!(refused(&git("repo_url = \"--upload-pack=touch pwned\"")).contains("begins with '-'"));
    assert!(
        refused(&git("repo_url = \"https://h/x\"\ntracking_ref = \"--help\"")).contains("no branch, tag or commit")
    );
    assert!(refused(&git("repo_url = \"https://h/x\"\nsubdir = \"../x\"")).contains("without '..'"));
    assert!(refused(&git("")).contains("needs a repo_url"));
    let twice = git("repo_url = \"https://h/x\"").repeat(2);
    assert!(refused(&twice).contains("two bundles are named 'data'"));
    assert!(!workspace.path().join("pwned").exists());
}

#[test]
fn the_documented_walk_from_init_to_rollback() {
    let workshop = GitWorkshop::new();
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let tree = workshop.tree();
    workspace.ok(&["init", tree.to_str().unwrap()]);
    let again = workspace.refused(&["init", tree.to_str().unwrap()]);
    assert!(again.contains("already has dags/hello.toml"), "{again}");
    let hello = tree.join("dags/hello.toml");
    workspace.ok(&["dags", "check", "--strict", tree.join("dags").to_str().unwrap()]);
    let good = std::fs::read_to_string(&hello).unwrap();
    std::fs::write(&hello, good.replace("greet.sh", "great.sh")).unwrap();
    let told = workspace.refused(&["dags", "check", "--strict", tree.join("dags").to_str().unwrap()]);
    assert!(told.contains("great.sh") && told.contains("hello.toml:14:"), "{told}");
    std::fs::write(&hello, &good).unwrap();
    let simulated = workspace.ok(&["dags", "simulate", hello.to_str().unwrap()]);
    assert!(simulated.contains("greet") && simulated.contains("count"), "{simulated}");

    let first = workshop.publish("A DAG repository");
    let git =
        format!("[[bundles]]\nname = \"dags\"\ntype = \"git\"\nrepo_url = \"{}\"\nsubdir = \"dags\"\n", workshop.url());
    configure(&workspace, &git);
    let _standalone = start(&workspace, &first);
    workspace.ok(&["dags", "trigger", "hello", "--run-id", "r1", "--wait"]);
    assert!(workspace.task_log("hello", "r1", "greet").contains("Hello, world"));
    assert!(workspace.task_log("hello", "r1", "count").contains("letters"));
    workshop.write("dags/scripts/greet.sh", "echo \"Good evening, {{ params.name }}\"\n");
    let second = workshop.publish("Be polite");
    taken_in(&workspace, &second);
    workspace.ok(&["dags", "trigger", "hello", "--run-id", "r2", "--wait"]);
    assert!(workspace.task_log("hello", "r2", "greet").contains("Good evening, world"));
    assert!(workspace.ok(&["dags", "diff", "hello"]).contains("+echo \"Good evening"));
    workspace.ok(&["dags", "rollback", "hello", &first[..8]]);
    let mut number = 0;
    let mut greeted = |words: &str| {
        wait_until(words, || {
            number += 1;
            let run = format!("again{number}");
            workspace.ok(&["dags", "trigger", "hello", "--run-id", &run, "--wait"]);
            let log = workspace.task_log("hello", &run, "greet");
            if log.contains(words) { Ok(()) } else { Err(log) }
        });
    };
    greeted("Hello, world");
    workspace.ok(&["dags", "rollback", "hello", "--release"]);
    greeted("Good evening, world");
}

/// Calls a page with these headers, and returns the status.
fn call(url: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut request = windrose_testkit::http_client().post(url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    })
}

#[test]
fn a_signed_call_of_the_git_server_brings_a_push_at_once() {
    let workshop = GitWorkshop::new();
    workshop.write("greet.toml", dag("echo one"));
    workshop.publish("Greet");
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let bundle = format!("[[bundles]]\nname = \"data\"\ntype = \"git\"\nrepo_url = \"{}\"\n", workshop.url());
    configure(&workspace, &format!("{bundle}refresh_interval = 100000\nwebhook_secret_variable = \"hook\"\n"));
    let standalone = workspace.standalone();
    let url = format!("{}/webhooks/bundles/data", standalone.url);
    assert_eq!(call(&url, &[], "{}"), 503, "the variable is not there yet");
    workspace.ok(&["variables", "set", "hook", "It's a Secret to Everybody"]);
    wait_until("the first commit", || {
        let bundle = &workspace.json(&["bundles", "list"])[0];
        if bundle["commit"].is_string() { Ok(()) } else { Err(bundle.to_string()) }
    });
    workshop.write("greet.toml", dag("echo two"));
    let second = workshop.publish("Greet twice");
    assert_eq!(call(&url, &[], "{}"), 401);
    assert_eq!(call(&url, &[("X-Hub-Signature-256", "sha256=00")], "{}"), 401);
    assert_eq!(call(&url, &[("X-Gitlab-Token", "guess")], "{}"), 401);
    assert_eq!(call(&url.replace("data", "other"), &[("X-Gitlab-Token", "guess")], "{}"), 404);
    // The example of GitHub's documentation.
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(call(&url, &[("X-Hub-Signature-256", signature)], "Hello, World!"), 202);
    wait_until("the push", || {
        let bundle = &workspace.json(&["bundles", "list"])[0];
        if bundle["commit"] == second.as_str() { Ok(()) } else { Err(bundle.to_string()) }
    });
    assert_eq!(call(&url, &[("X-Gitlab-Token", "It's a Secret to Everybody")], "{}"), 202);
}

//! People are told: by a web server, a mail server and an SNS of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "support/receiver.rs"]
mod receiver;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use receiver::{Got, all, body, server, web_server};
use serde_json::json;
use windrose_testkit::lab::Lab;
use windrose_testkit::process::{Workspace, wait_until};

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

/// A mail server without encryption: keeps each mail with its envelope.
fn mail_server() -> (u16, Got) {
    server(|mut stream, got| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut mail, mut in_data) = (String::new(), false);
        let _ = stream.write_all(b"220 here\r\n");
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 0 {
            let text = line.trim_end().to_owned();
            line.clear();
            mail.push_str(&text);
            mail.push('\n');
            let answer = match (in_data, text.to_ascii_uppercase().as_str()) {
                (true, ".") => {
                    in_data = false;
                    got.lock().unwrap().push(std::mem::take(&mut mail));
                    "250 taken\r\n"
                }
                (true, _) => continue,
                (false, "DATA") => {
                    in_data = true;
                    "354 go on\r\n"
                }
                (false, "QUIT") => "221 bye\r\n",
                (false, _) => "250 ok\r\n",
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

#[test]
fn each_occasion_is_told_once_with_its_cause() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    let hook = |occasion: &str| {
        format!("{occasion} = {{ notifier = \"webhook\", url = \"http://127.0.0.1:{port}/{occasion}\" }}")
    };
    let task = |name: &str, command: &str| {
        format!(
            "[tasks.{name}]\noperator = \"bash\"\nbash_command = \"{command}\"\nretries = 1\nretry_delay = 0\n{}\n{}\n{}\n{}\n",
            hook("on_success"),
            hook("on_failure"),
            hook("on_retry"),
            hook("on_skipped")
        )
    };
    let tasks = [task("good", "true"), task("bad", "exit 3"), task("skips", "exit 99")].concat();
    let below = "[tasks.below]\noperator = \"empty\"\nupstream = [\"bad\"]\n";
    workspace.write_dag("tells.toml", &format!("{}\n{}\n{tasks}{below}", hook("on_success"), hook("on_failure")));
    let _standalone = workspace.standalone();
    workspace.refused(&["dags", "trigger", "tells", "--run-id", "r", "--wait"]);
    let got = all(&got, 5);
    let mut told: Vec<_> = got
        .iter()
        .map(|request| {
            let facts = body(request);
            assert!(request.contains(&format!("POST /{} ", facts["reason"].as_str().unwrap())), "{request}");
            format!("{} {}", facts["task_id"].as_str().unwrap_or("run"), facts["reason"].as_str().unwrap())
        })
        .collect();
    told.sort();
    assert_eq!(told, ["bad on_failure", "bad on_retry", "good on_success", "run on_failure", "skips on_skipped"]);
    let bad =
        got.iter().map(|request| body(request)).find(|facts| facts["task_id"] == "bad" && facts["try_number"] == 2);
    let message = bad.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Task bad of DAG tells, run r, try 2 has failed.") && message.contains('3'), "{message}");
    let run = got.iter().map(|request| body(request)).find(|facts| facts["task_id"].is_null()).unwrap();
    assert_eq!(run["cause"], "Failed: bad.");
}

#[test]
fn templates_of_a_notifier_see_the_task_and_the_notification() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    workspace.write_dag(
        "words.toml",
        &format!(
            "[vars]\nteam = \"data\"\n[tasks.a]\noperator = \"bash\"\nbash_command = \"{{{{ missing }}}}\"\n\
             [[tasks.a.on_failure]]\nnotifier = \"webhook\"\nurl = \"http://127.0.0.1:{port}/{{{{ vars.team }}}}\"\n\
             headers = {{ Authorization = \"Bearer {{{{ var.value.token }}}}\" }}\n\
             json = {{ text = \"{{{{ ti.task_id }}}} of {{{{ run_id }}}}: {{{{ notification.cause }}}}\" }}\n"
        ),
    );
    workspace.ok(&["variables", "set", "token", "s3cret-token"]);
    let _standalone = workspace.standalone();
    workspace.refused(&["dags", "trigger", "words", "--run-id", "r", "--wait"]);
    let request = all(&got, 1).remove(0);
    assert!(request.contains("POST /data ") && request.contains("Bearer s3cret-token"), "{request}");
    let text = body(&request)["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("a of r: ") && text.contains("missing"), "{text}");
}

#[test]
fn a_notification_is_sent_again_until_it_is_taken_also_after_a_kill() {
    let workspace = workspace();
    // A port on which nobody listens yet.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    workspace.write_dag(
        "insists.toml",
        &format!(
            "on_success = {{ notifier = \"webhook\", url = \"http://127.0.0.1:{port}/\" }}\n[tasks.a]\noperator = \"empty\"\n"
        ),
    );
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "insists", "--run-id", "r", "--wait"]);
    let refused = || workspace.log().contains("a notification was not sent");
    wait_until("a failed try", || if refused() { Ok(()) } else { Err(workspace.log()) });
    standalone.kill();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _standalone = workspace.standalone();
    let (stream, _) = listener.accept().unwrap();
    let mut head = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut head).unwrap();
    assert!(head.starts_with("POST / "), "{head}");
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
}

#[test]
fn slack_is_told_by_a_webhook_and_by_its_api() {
    let workspace = workspace();
    let (hook, by_hook) = web_server("ok", 1);
    let (api, by_api) = web_server("{\"ok\": true}", 0);
    workspace.ok(&["connections", "set", "hook", &format!("slackwebhook://:T1%2FB2%2Fxyz@127.0.0.1:{hook}/http")]);
    let base = format!("http%3A%2F%2F127.0.0.1%3A{api}%2Fapi");
    workspace.ok(&["connections", "set", "bot", &format!("slack://:xoxb-token@/?base_url={base}")]);
    workspace.write_dag(
        "chats.toml",
        "on_success = [{ notifier = \"slack\", slack_webhook_conn_id = \"hook\" },\n\
         { notifier = \"slack\", slack_conn_id = \"bot\", channel = \"#ops\", text = \"done: {{ dag.dag_id }}\" }]\n\
         [tasks.a]\noperator = \"empty\"\n",
    );
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "chats", "--run-id", "r", "--wait"]);
    let hooked = all(&by_hook, 2);
    assert!(hooked[0].starts_with("503") && hooked[1].starts_with("200"), "the second try was taken: {hooked:?}");
    assert!(hooked[1].contains("POST /T1/B2/xyz "), "{hooked:?}");
    assert_eq!(body(&hooked[1]), json!({ "text": "Run r of DAG chats has succeeded." }));
    assert!(!workspace.log().contains("B2/xyz"), "the webhook is a secret");
    let called = all(&by_api, 1).remove(0);
    assert!(called.contains("POST /api/chat.postMessage ") && called.contains("Bearer xoxb-token"), "{called}");
    assert_eq!(body(&called), json!({ "text": "done: chats", "channel": "#ops" }));
}

#[test]
fn a_mail_is_sent() {
    let workspace = workspace();
    let (port, got) = mail_server();
    let uri = format!("smtp://127.0.0.1:{port}/?disable_ssl=true&disable_tls=true&from_email=windrose%40example.com");
    workspace.ok(&["connections", "set", "smtp_default", &uri]);
    workspace.write_dag(
        "mails.toml",
        "[tasks.a]\noperator = \"bash\"\nbash_command = \"exit 1\"\n\
         on_failure = { notifier = \"smtp\", to = [\"on-call@example.com\", \"b@example.com\"], subject = \"{{ ti.task_id }} failed\" }\n",
    );
    let _standalone = workspace.standalone();
    workspace.refused(&["dags", "trigger", "mails", "--run-id", "r", "--wait"]);
    let mail = all(&got, 1).remove(0);
    for part in [
        "MAIL FROM:<windrose@example.com>",
        "RCPT TO:<on-call@example.com>",
        "RCPT TO:<b@example.com>",
        "Subject: a failed",
        "Content-Type: text/html",
        "Task a of DAG mails, run r, try 1 has failed.",
    ] {
        assert!(mail.contains(part), "{part} is missing in {mail}");
    }
}

#[test]
fn a_topic_of_sns_gets_the_message() {
    let lab = Lab::start();
    let mut workspace = workspace();
    for (name, value) in lab.environment() {
        workspace.set_env(name, &value);
    }
    workspace.write_dag(
        "publishes.toml",
        "on_success = { notifier = \"sns\", target_arn = \"arn:aws:sns:us-east-1:123456789012:no-such-topic\" }\n\
         [tasks.a]\noperator = \"empty\"\n",
    );
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "publishes", "--run-id", "r", "--wait"]);
    let asked = || lab.count("Publish");
    wait_until("the call", || if asked() > 0 { Ok(()) } else { Err(workspace.log()) });
}

#[test]
fn a_wrong_notifier_is_refused_where_it_stands() {
    let workspace = workspace();
    workspace.write_dag(
        "wrong.toml",
        "on_failure = { notifier = \"webhok\", url = \"x\" }\n[tasks.a]\noperator = \"empty\"\n\
         on_retry = { notifier = \"webhook\", addres = \"x\" }\non_success = \"slack\"\n\
         on_skipped = { notifier = \"slack\", slack_webhook_conn_id = \"a\", text = \"{{ oops\" }\n",
    );
    let said = workspace.refused(&["dags", "check", "dags/wrong.toml"]);
    for part in ["webhook", "addres", "'on_success' must be a notifier or a list of them", "'text'"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

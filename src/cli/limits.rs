//! `latimer limits`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::app;
use crate::cli::operator::Operator;
use crate::cli::{print, told};

/// Show how limits stand in the running gateway, or give calls back
#[derive(Debug, Args)]
pub(super) struct Limits {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show of each limit by whom it is used, and what is left
    Show(Show),
    /// Forget what was counted: of one caller, or of all
    Reset(Reset),
}

#[derive(Debug, Args)]
struct Show {
    /// The configuration file of the gateway, which says where its admin listener is
    #[arg(long, value_name = "FILE", default_value = "latimer.yaml")]
    config: PathBuf,
    /// Only how this consumer stands, at limits per consumer
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Only this limit
    #[arg(long, value_name = "NAME")]
    limit: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Reset {
    /// The configuration file of the gateway, which says where its admin listener is and has `admin.token`
    #[arg(long, value_name = "FILE", default_value = "latimer.yaml")]
    config: PathBuf,
    /// The limit
    #[arg(long, value_name = "NAME")]
    limit: String,
    /// What was counted of this consumer
    #[arg(long, value_name = "NAME", conflicts_with_all = ["address", "all"])]
    consumer: Option<String>,
    /// What was counted of this address, or of its network (/64) of IPv6
    #[arg(long, value_name = "ADDR", conflicts_with = "all")]
    address: Option<IpAddr>,
    /// What was counted of all callers
    #[arg(long)]
    all: bool,
}

impl Limits {
    pub(super) fn run(self) -> u8 {
        let done = match self.command {
            Command::Show(show) => show.text(),
            Command::Reset(reset) => reset.text(),
        };
        match done {
            Ok(text) => {
                print(&text);
                0
            }
            Err(why) => told(why),
        }
    }
}

impl Show {
    fn text(&self) -> Result<String, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("limit", &self.limit), ("consumer", &self.consumer)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let gateway = Operator::at(&self.config, app::environment())?;
        let answer = gateway.get(&format!("/limits?{}", query.finish()))?;
        if self.json {
            return Ok(format!("{answer:#}\n"));
        }
        Ok(shown(&answer))
    }
}

/// Lines for each limit. What the gateway does not say is not shown.
fn shown(answer: &Value) -> String {
    let mut out = String::new();
    for limit in list(answer, "limits") {
        // Writing to a text never fails.
        let _ = writeln!(
            out,
            "{}: {} of {} calls, whole again in {} s, per {}",
            text(limit, "limit"),
            text(limit, "form"),
            number(limit, "calls"),
            number(limit, "seconds"),
            text(limit, "per")
        );
        let callers = list(limit, "callers");
        let wide = callers.iter().map(|one| text(one, "who").chars().count()).max().unwrap_or(0);
        for one in callers {
            let (who, resets) = (text(one, "who"), text(one, "resets"));
            let (used, left) = (number(one, "used"), number(one, "left"));
            let _ = writeln!(out, "  {who:wide$}  used {used}, left {left}, resets {resets}");
        }
        if limit["listed"] == false {
            out.push_str("  a fleet counts them, and they are not listed\n");
            continue;
        }
        match (callers.len(), number(limit, "more")) {
            (0, 0) => out.push_str("  nobody is counted\n"),
            (_, 0) => {}
            (_, more) => drop(writeln!(out, "  and {more} more")),
        }
    }
    let unseen: Vec<&str> =
        list(answer, "routes_unseen").iter().filter_map(Value::as_str).collect();
    if !unseen.is_empty() {
        let routes = unseen.join(", ");
        let _ = writeln!(out, "a limit that is a route's only one cannot be looked at: {routes}");
    }
    if out.is_empty() {
        out.push_str("no limit counts that\n");
    }
    out
}

impl Reset {
    fn text(&self) -> Result<String, String> {
        let limit = &self.limit;
        let mut wanted = Map::new();
        wanted.insert("limit".to_owned(), json!(limit));
        match (&self.consumer, &self.address, self.all) {
            (Some(consumer), _, _) => wanted.insert("consumer".to_owned(), json!(consumer)),
            (None, Some(address), _) => wanted.insert("address".to_owned(), json!(address)),
            (None, None, true) => wanted.insert("all".to_owned(), json!(true)),
            (None, None, false) => {
                return Err("say whose: --consumer NAME, --address ADDR or --all".to_owned());
            }
        };
        let gateway = Operator::at(&self.config, app::environment())?;
        let answer = gateway.post("/limits/reset", &Value::Object(wanted))?;
        Ok(match (answer.get("who").and_then(Value::as_str), number(&answer, "callers")) {
            (Some(who), 0) => format!("`{limit}`: nothing was counted of {who}\n"),
            (Some(who), _) => format!("`{limit}` is reset for {who}\n"),
            (None, callers) => format!("`{limit}` is reset for all; {callers} were counted\n"),
        })
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

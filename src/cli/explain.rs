//! `latimer explain`.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Response};

use crate::app;
use crate::bounds;
use crate::call::{Services, Stage, explain};
use crate::cli::{FINDINGS, ask, fail, print, told};
use crate::upstream::{Reply, ReplyBody};

/// What the arguments do not say.
const AFTER: &str = "\
The request is read from standard input, as a client sends it, key included:

    POST /tickets/17/status
    apikey: the-consumers-key
    Content-Type: application/json

    {\"status\": \"resolved\", \"staffUserId\": 7}

Exit code 1: the client is told a fault.";

/// Show every stage of a call, and for each field the mapping line that set it.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct Explain {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The route
    #[arg(long, value_name = "NAME")]
    route: String,
    /// An upstream's answer to explain too: status line, headers, blank line, body
    #[arg(long, value_name = "FILE")]
    reply: Option<PathBuf>,
}

impl Explain {
    pub(super) fn run(self) -> u8 {
        let (_, plan, _) = match app::load(&self.config, app::environment()) {
            Ok(loaded) => loaded,
            Err(error) => return fail(&error),
        };
        let shared = match app::Shared::new(plan, app::Outliving::default()) {
            Ok(shared) => shared,
            Err(error) => return fail(&error),
        };
        match self.explain(&shared.services()) {
            Ok(stages) => {
                print(&text(&stages));
                let told = stages.iter().any(|stage| stage.name == "client is told");
                if told { FINDINGS } else { 0 }
            }
            Err(why) => told(why),
        }
    }

    fn explain(&self, services: &Services) -> Result<Vec<Stage>, String> {
        let known: Vec<&str> =
            services.plan.routes.iter().map(|route| route.name.as_str()).collect();
        if !known.contains(&self.route.as_str()) {
            return Err(format!("no route named `{}`; known: {}", self.route, known.join(", ")));
        }
        let mut input = Vec::new();
        ask("reading the request from standard input; Ctrl-D ends it");
        std::io::stdin()
            .take(bounds::REPLY_BYTES_MAX as u64)
            .read_to_end(&mut input)
            .map_err(|error| format!("cannot read the request: {error}"))?;
        let (head, body) = request(&input)?;
        let reply = match &self.reply {
            Some(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                Some(reply(&bytes)?)
            }
            None => None,
        };
        explain(services, &self.route, &head, &body, reply)
    }
}

/// Start line, header fields and body; lines may end with or without a carriage return.
fn take_apart(message: &[u8]) -> Result<(Vec<String>, Vec<u8>), String> {
    let end = |mark: &[u8]| {
        message.windows(mark.len()).position(|window| window == mark).map(|at| (at, mark.len()))
    };
    let (at, length) =
        [end(b"\r\n\r\n"), end(b"\n\n")].into_iter().flatten().min().unwrap_or((message.len(), 0));
    let head = std::str::from_utf8(&message[..at]).map_err(|_| "the head is not UTF-8")?;
    let body = message[at + length..].to_vec();
    Ok((head.lines().map(str::to_owned).collect(), body))
}

fn fields(lines: &[String]) -> Result<Vec<(&str, &str)>, String> {
    lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("`{line}` is no header field"))?;
            Ok((name.trim(), value.trim()))
        })
        .collect()
}

fn request(message: &[u8]) -> Result<(http::request::Parts, Vec<u8>), String> {
    let (lines, mut body) = take_apart(message)?;
    let start: Vec<&str> = lines.first().map(|line| line.split(' ').collect()).unwrap_or_default();
    let [method, target, ..] = start.as_slice() else {
        return Err("standard input has no request: write METHOD /path, headers, blank line, body"
            .to_owned());
    };
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no method"))?;
    let mut built = Request::builder().method(method).uri(*target);
    for (name, value) in fields(&lines[1..])? {
        built = built.header(name, value);
    }
    // The newline that an editor puts at the end is none of the body's.
    if body.last() == Some(&b'\n') {
        body.pop();
    }
    let built = built.body(()).map_err(|error| format!("this is no HTTP request: {error}"))?;
    Ok((built.into_parts().0, body))
}

fn reply(message: &[u8]) -> Result<Reply, String> {
    let (lines, mut body) = take_apart(message)?;
    let start = lines.first().map(String::as_str).unwrap_or_default();
    let status: Option<u16> = start.split(' ').find_map(|part| part.parse().ok());
    let mut built = Response::builder().status(status.ok_or("the answer has no status code")?);
    for (name, value) in fields(&lines[1..])? {
        built = built.header(name, value);
    }
    if body.last() == Some(&b'\n') {
        body.pop();
    }
    let built = built.body(()).map_err(|error| format!("this is no HTTP answer: {error}"))?;
    Ok(Reply { head: built.into_parts().0, body: ReplyBody::Whole(Bytes::from(body)) })
}

fn text(stages: &[Stage]) -> String {
    let mut out = String::new();
    for stage in stages {
        // Writing to a text never fails.
        let _ = writeln!(out, "{}", stage.name);
        let wide = stage.lines.iter().map(|line| line.what.chars().count()).max().unwrap_or(0);
        for line in &stage.lines {
            let _ = write!(out, "  {:wide$}  {}", line.what, line.value);
            if !line.at.is_empty() {
                let _ = write!(out, "   <- {}", line.at);
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

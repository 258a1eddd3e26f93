//! `latimer serve`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::task::JoinHandle;

use crate::cli::signals::{Stops, survive_hangups};
use crate::cli::{COULD_NOT_TELL, fail, runtime, show, tell, told};
use crate::config::Config;
use crate::plan::Plan;
use crate::systemd::{self, Notify, Sockets};
use crate::{app, telemetry};

/// Run the gateway.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check that it would start
    #[arg(long)]
    check: bool,
}

impl Serve {
    pub(super) fn run(self) -> u8 {
        let (config, plan, warnings) = match app::load(&self.config, app::environment()) {
            Ok(loaded) => loaded,
            Err(error) => return fail(&error),
        };
        if self.check {
            show(&warnings);
            tell("ok\n");
            return 0;
        }
        if !warnings.is_empty() {
            let (count, path) = (warnings.len(), self.config.display());
            tell(&format!("warnings: {count}; `latimer check --config {path}` shows them\n"));
        }
        // They hold the text of whole files.
        drop(warnings);
        // While there is one thread.
        let sockets = match Sockets::take() {
            Ok(sockets) => sockets,
            Err(error) => return told(error),
        };
        if let Err(error) = telemetry::start(&config.log) {
            tell(&format!("cannot start the log: {error}\n"));
            return COULD_NOT_TELL;
        }
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        let code = runtime.block_on(serve(sockets, config, plan));
        telemetry::end();
        // A name that is still being looked up holds nobody up.
        runtime.shutdown_background();
        code
    }
}

/// Serves until a signal came and calls in flight have ended, or until a second one came.
async fn serve(sockets: Sockets, config: Config, plan: Plan) -> u8 {
    let mut stops = Stops::listen();
    let hangups = survive_hangups();
    let gateway = match app::start_on(sockets, &config, plan).await {
        Ok(gateway) => gateway,
        Err(error) => return fail(&error),
    };
    let drain = config.drain;
    drop(config);
    let notify = Arc::new(Notify::from_environment());
    tell(&format!("latimer ready listen={} admin={}\n", gateway.listen, gateway.admin));
    notify.ready(&format!("serving clients on {}", gateway.listen));
    let watching = notify
        .watchdog()
        .map(|granted| tokio::spawn(systemd::watch(Arc::clone(&notify), granted, gateway.pulse())));
    let signal = stops.next().await;
    tracing::info!(target: "latimer::signals", signal, ?drain, "told to stop: calls in flight may end");
    notify.stopping(&format!("stopping: calls in flight have {drain:?}"));
    let hurry = async {
        let signal = stops.next().await;
        tracing::warn!(target: "latimer::signals", signal, "told to stop again: ends at once");
    };
    let hurried = gateway.stop_unless(hurry).await;
    watching.inspect(JoinHandle::abort);
    hangups.abort();
    if hurried { COULD_NOT_TELL } else { 0 }
}

//! `latimer serve`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{fail, runtime, show, tell, told_to_stop};
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
        if let Err(error) = telemetry::start(&config.log) {
            tell(&format!("cannot start the log: {error}\n"));
            return 2;
        }
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        let code = runtime.block_on(async {
            let gateway = match app::start(&config, plan).await {
                Ok(gateway) => gateway,
                Err(error) => return fail(&error),
            };
            let stop = told_to_stop();
            tell(&format!("latimer ready listen={} admin={}\n", gateway.listen, gateway.admin));
            stop.await;
            gateway.stop().await;
            0
        });
        telemetry::end();
        code
    }
}

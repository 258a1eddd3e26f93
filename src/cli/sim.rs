//! `latimer sim`.

use std::net::SocketAddr;

use clap::Args;

use crate::cli::{runtime, tell, told, told_to_stop};
use crate::sim::{self, FaultSwitch, Options, Seed, Vendor};

/// Run one simulated vendor.
#[derive(Debug, Args)]
pub(super) struct Sim {
    /// arena, series, akana, thalamus or zstack
    vendor: Vendor,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The credential that it accepts [default: sim-<vendor>-token]
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// A ticket with its status, in the vendor's own words
    #[arg(long = "ticket", value_name = "ID=STATUS")]
    tickets: Vec<Seed>,
    /// What goes wrong: latency=200ms, reset, http=500, garbage, truncate, …, each with ,every=N
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<FaultSwitch>,
    /// Answer 202 first and the result on the poll (zstack)
    #[arg(long = "async")]
    asynchronous: bool,
}

impl Sim {
    pub(super) fn run(self) -> u8 {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        runtime.block_on(async {
            let listener = match tokio::net::TcpListener::bind(self.listen).await {
                Ok(listener) => listener,
                Err(error) => {
                    return told(format_args!("cannot listen on {}: {error}", self.listen));
                }
            };
            let options = Options {
                token: self.token,
                tickets: self.tickets,
                faults: self.faults,
                asynchronous: self.asynchronous,
                ..Options::default()
            };
            let simulator = match sim::serve(self.vendor, listener, options) {
                Ok(simulator) => simulator,
                Err(error) => return told(error),
            };
            let stop = told_to_stop();
            tell(&format!("sim {} listen={}\n", self.vendor, simulator.addr()));
            stop.await;
            simulator.stop().await;
            0
        })
    }
}

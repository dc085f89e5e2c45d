//! The S3 server of the store's tests, for whoever tests from outside: prints the settings that lead a server to it, a
//! line each, and runs until its input ends.
//!
//! `cargo run --package agentsight-store --example s3_server`
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;

#[expect(dead_code, reason = "nobody here makes faults")]
#[path = "../tests/s3/server.rs"]
mod server;

fn main() {
    let server = server::S3Server::start();
    println!("AGENTSIGHT_BLOBS=s3://{}/nodes", server::BUCKET);
    println!("AGENTSIGHT_S3_ENDPOINT=http://{}", server.address);
    println!("AGENTSIGHT_S3_REGION=us-east-1");
    println!("AGENTSIGHT_S3_ALLOW_HTTP=true");
    println!("AGENTSIGHT_S3_ACCESS_KEY={}", server::ACCESS_KEY);
    println!("AGENTSIGHT_S3_SECRET_KEY={}", server::SECRET_KEY);
    // Ends the list.
    println!();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

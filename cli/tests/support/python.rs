//! A Python client of the shop, with modules that protoc makes of `rowkeep proto --out`.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;

use testkit::{python, workspace_root};

use super::{SHOP, Scratch, rowkeep};

/// The directory with the generated Python modules.
fn generated() -> &'static str {
    static DIRECTORY: OnceLock<(Scratch, String)> = OnceLock::new();
    let (_, directory) = DIRECTORY.get_or_init(|| {
        let scratch = Scratch::default();
        let (protos, out) = (scratch.arg("protos"), scratch.arg("python"));
        std::fs::create_dir(scratch.path("python")).unwrap();
        let files = rowkeep(&["proto", SHOP, "--out", &protos]).expect(0).stdout;
        // Google's own come as packages.
        let files = files.lines().filter(|path| !path.contains("/google/"));
        let mut protoc = Command::new(python());
        protoc.args(["-m", "grpc_tools.protoc", "-I", &protos, "--python_out", &out, "--grpc_python_out", &out]);
        let output = protoc.args(files).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (scratch, out)
    });
    directory
}

/// `client.py`, about to play a scenario.
pub fn python_client(server: SocketAddr, scenario: &str) -> Command {
    let mut client = Command::new(python());
    client.arg(workspace_root().join("cli/tests/clients/client.py"));
    client.args([generated(), &server.to_string(), scenario]).env("PYTHONDONTWRITEBYTECODE", "1");
    client
}

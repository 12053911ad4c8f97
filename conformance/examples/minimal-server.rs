//! The test server as a program: `minimal-server PORT [FAULT [TOKEN]]`. For trying the harness without any engine.

#[path = "../tests/it/peer/mod.rs"]
mod peer;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 =
        arguments.next().and_then(|port| port.parse().ok()).expect("usage: minimal-server PORT [FAULT [TOKEN]]");
    let wanted = arguments.next().unwrap_or_else(|| "None".to_owned());
    let fault = peer::Fault::ALL.iter().find(|fault| format!("{fault:?}") == wanted);
    let fault = *fault.unwrap_or_else(|| panic!("the faults are {:?}", peer::Fault::ALL));
    let setup = peer::Setup { fault, token: arguments.next(), ..peer::Setup::default() };
    peer::spawn_on(port, setup).await;
    std::future::pending::<()>().await;
}

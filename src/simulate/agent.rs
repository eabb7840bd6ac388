//! The agent of the installed system.

use crate::simulate::console::Console;
use crate::simulate::failure::Failure;
use crate::simulate::options::Options;

/// Works until there is nothing left to do; returns why the machine has to be switched on again, if so.
pub async fn work(
    configuration: &str,
    _options: &Options,
    console: &mut Console,
) -> Result<Option<String>, Failure> {
    console.say("agent", format!("{} bytes of configuration", configuration.len())).await;
    Ok(None)
}

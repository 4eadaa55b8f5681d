//! What neutron keeps of a highly available router: `state` and `keepalived.conf` in
//! `/var/lib/neutron/ha_confs/ROUTER/`.
mod conf;
mod state;

pub(crate) use conf::FORMAT as CONF;
pub(crate) use state::FORMAT as STATE;

use tapline_core::Name;
use tapline_core::capture::Command;

/// The router whose file a command prints, by the folder; outer `None`: not the file `name`.
fn router_of(command: &Command, name: &str) -> Option<Name> {
    let (folder, file) = command.path()?.rsplit_once('/')?;
    let (above, router) = folder.rsplit_once('/')?;
    (file == name && above.ends_with("ha_confs")).then(|| router.into())
}

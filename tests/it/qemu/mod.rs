//! Real firmware under QEMU's own processor emulation, on a tap in a namespace. They need root and the
//! packages that `make deps` installs. Start reading at [`machine::Vm`].

mod beside;
mod current;
mod disk;
mod https;
mod install;
mod local;
mod machine;
mod menu;
mod refused;
mod rehearsal;
mod timeline;
mod vlan;

pub use machine::{Firmware, Vm};

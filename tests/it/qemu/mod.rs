//! Real firmware in QEMU's own processor emulation, on a tap in a namespace. These tests need root and the
//! packages that `make deps` installs. Start at [`machine::Vm`].

mod beside;
mod current;
mod disk;
mod https;
mod install;
mod loaders;
mod local;
mod machine;
mod menu;
mod refused;
mod rehearsal;
mod timeline;
mod vlan;
mod whole;

pub use machine::{Firmware, FirmwareBuild, Vm};

//! The checks of `fuzz/run` with libFuzzer, which finds new paths by itself: see `docs/testing.md`.

#![no_main]

#[path = "../run/dhcp.rs"]
mod dhcp;
#[path = "../run/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    drop(dhcp::check(datagram));
});

//! Signed loaders for Secure Boot: which files belong together, and which one a machine starts with.
//!
//! Firmware trusts what Microsoft signed: the shims of distributions. A shim trusts only the loader of its
//! own distribution, and that loader asks shim to check the kernel. So the files of a distribution are
//! together in one folder of the boot namespace, a *chain*: `debian/shimx64.efi`, `debian/grubx64.efi`,
//! `debian/mmx64.efi`. The bootenv names the chain that fits its kernel. Start at [`start`].

use std::collections::BTreeSet;

use crate::model::Arch;

/// The disk image of a chain, for UEFI HTTP boot: GRUB reads its configuration from the disk that it came
/// from, and finds none if it came as a file over HTTP.
pub const IMAGE: &str = "efi.img";

/// How the names of iPXE's shims end.
const IPXE_SHIM_ENDING: &str = "-shim.efi";

/// Whether a machine must be started with signed loaders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecureBoot {
    #[default]
    Off,
    /// With signed loaders if there are any: the site's setting.
    Preferred,
    /// With signed loaders only: the machine's param.
    Required,
}

/// The first two files of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainStart {
    pub arch: Arch,
    /// The file that firmware starts.
    pub first: &'static str,
    /// The file that the first one asks for, in its own folder.
    pub second: &'static str,
}

/// The role of a file in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainRole {
    Shim,
    /// The file that shim starts.
    Second,
    /// The file that shim starts if it does not trust the second.
    MokManager,
    /// The disk image with all of them.
    Image,
}

/// The names of distributions' files, then those of iPXE's own shim, which derives the second name from its
/// own.
pub static STARTS: &[ChainStart] = &[
    ChainStart { arch: Arch::Amd64, first: "shimx64.efi", second: "grubx64.efi" },
    ChainStart { arch: Arch::Arm64, first: "shimaa64.efi", second: "grubaa64.efi" },
    ChainStart { arch: Arch::Amd64, first: "snponly-shim.efi", second: "snponly.efi" },
    ChainStart { arch: Arch::Amd64, first: "ipxe-shim.efi", second: "ipxe.efi" },
];

/// The name in the boot namespace of a chain's first file.
///
/// # Errors
/// The file that the chain lacks, and where to put it.
pub fn start(chain: &str, arch: Arch, loaders: &BTreeSet<String>) -> Result<String, String> {
    let mut starts = STARTS.iter().filter(|start| start.arch == arch);
    if let Some(start) = starts
        .clone()
        .find(|start| has_file(loaders, chain, start.first) && has_file(loaders, chain, start.second))
    {
        return Ok(format!("{chain}/{}", start.first));
    }
    let Some(wanted) =
        starts.clone().find(|start| has_file(loaders, chain, start.first)).or_else(|| starts.next())
    else {
        return Err(format!("there are no signed loaders for {arch}"));
    };
    let lacks: Vec<&str> =
        [wanted.first, wanted.second].into_iter().filter(|file| !has_file(loaders, chain, file)).collect();
    let lacks = lacks.join(" and ");
    Err(format!(
        "the signed loaders `{chain}` lack {lacks}: install that distribution's packages on a server that \
         runs it, or put its files into `loaders/{chain}/` of the data directory, and restart the server"
    ))
}

/// The same beside another DHCP server, where an iPXE finds this server and a GRUB does not.
///
/// # Errors
/// As [`start`].
pub fn start_beside(chain: &str, arch: Arch, loaders: &BTreeSet<String>) -> Result<String, String> {
    ipxe_start(chain, arch, loaders).map_or_else(|| start(chain, arch, loaders), Ok)
}

/// The first file of a chain's signed iPXE, if it is complete.
fn ipxe_start(chain: &str, arch: Arch, loaders: &BTreeSet<String>) -> Option<String> {
    let mut starts =
        STARTS.iter().filter(|start| start.arch == arch && start.first.ends_with(IPXE_SHIM_ENDING));
    let start = starts
        .find(|start| has_file(loaders, chain, start.first) && has_file(loaders, chain, start.second))?;
    Some(format!("{chain}/{}", start.first))
}

fn has_file(loaders: &BTreeSet<String>, chain: &str, file: &str) -> bool {
    loaders.contains(&format!("{chain}/{file}"))
}

/// The first file of any complete chain: it can show a screen, whatever it may not boot.
pub fn any_start(arch: Arch, loaders: &BTreeSet<String>) -> Option<String> {
    let chains = loaders.iter().filter_map(|name| Some(name.split_once('/')?.0));
    chains.into_iter().find_map(|chain| start(chain, arch, loaders).ok())
}

/// The file that HTTP boot firmware gets instead of a chain's first file: the image, if there is one.
pub fn over_http(start: &str, loaders: &BTreeSet<String>) -> String {
    let image = image_beside(start);
    if start.ends_with(IPXE_SHIM_ENDING) || !loaders.contains(&image) { start.to_owned() } else { image }
}

/// The shim by which a signed iPXE has a distribution's kernel checked: the one in its own folder.
pub fn kernel_shim(chain: &str, arch: Arch, loaders: &BTreeSet<String>) -> Option<String> {
    let first = ipxe_start(chain, arch, loaders)?;
    let (folder, _) = first.split_once('/')?;
    let shims = STARTS.iter().filter(|start| start.arch == arch && start.second.starts_with("grub"));
    shims.map(|start| format!("{folder}/{}", start.first)).find(|name| loaders.contains(name))
}

/// Whether a loader outside of chains is a GRUB or leads to one.
pub fn is_grub(name: &str) -> bool {
    STARTS
        .iter()
        .any(|start| start.second.starts_with("grub") && (start.first == name || start.second == name))
}

/// The name of the image in the folder of a chain's file.
fn image_beside(file: &str) -> String {
    format!("{}/{IMAGE}", file.split_once('/').map_or("", |(chain, _)| chain))
}

/// The chain of an image with this name.
pub fn image_of(name: &str) -> Option<&str> {
    name.strip_suffix(IMAGE)?.strip_suffix('/')
}

/// The role of a loader, by its name in the boot namespace; `None` for a loader that is not signed.
pub fn role(name: &str) -> Option<ChainRole> {
    let (chain, file) = name.rsplit_once('/').unwrap_or(("", name));
    if file == IMAGE {
        return Some(ChainRole::Image);
    }
    if matches!(file, "mmx64.efi" | "mmaa64.efi") {
        return Some(ChainRole::MokManager);
    }
    let is_first = STARTS.iter().any(|start| start.first == file);
    // The second files of iPXE have the names of unsigned loaders outside their folder.
    let is_second =
        STARTS.iter().any(|start| start.second == file) && (!chain.is_empty() || file.starts_with("grub"));
    match (is_first, is_second) {
        (true, _) => Some(ChainRole::Shim),
        (_, true) => Some(ChainRole::Second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaders(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_chain_is_there_when_all_it_starts_with_is_there() {
        let debian =
            loaders(&["debian/shimx64.efi", "debian/grubx64.efi", "grubx64.efi", "rocky/shimx64.efi"]);
        assert_eq!(start("debian", Arch::Amd64, &debian).as_deref(), Ok("debian/shimx64.efi"));
        let why = start("rocky", Arch::Amd64, &debian).unwrap_err();
        assert!(why.contains("`rocky` lack grubx64.efi:") && why.contains("loaders/rocky/"), "{why}");
        let why = start("ubuntu", Arch::Arm64, &debian).unwrap_err();
        assert!(why.contains("shimaa64.efi and grubaa64.efi"), "{why}");
        assert!(start("debian", Arch::Riscv64, &debian).is_err());
        assert_eq!(any_start(Arch::Amd64, &debian).as_deref(), Some("debian/shimx64.efi"));
        assert_eq!(any_start(Arch::Arm64, &debian), None);
    }

    #[test]
    fn a_signed_ipxe_is_a_chain_of_its_own() {
        let ipxe = loaders(&["ipxe/snponly-shim.efi", "ipxe/snponly.efi", "ipxe/efi.img"]);
        let first = start("ipxe", Arch::Amd64, &ipxe).unwrap();
        assert_eq!(first, "ipxe/snponly-shim.efi");
        assert_eq!(over_http(&first, &ipxe), first, "iPXE needs no disk");
        assert_eq!(kernel_shim("ipxe", Arch::Amd64, &ipxe), None);
        let with_shim = loaders(&["debian/snponly-shim.efi", "debian/snponly.efi", "debian/shimx64.efi"]);
        let shim = kernel_shim("debian", Arch::Amd64, &with_shim);
        assert_eq!(shim.as_deref(), Some("debian/shimx64.efi"));
        let grub = loaders(&["debian/shimx64.efi", "debian/grubx64.efi"]);
        assert_eq!(kernel_shim("debian", Arch::Amd64, &grub), None, "GRUB asks shim by itself");
    }

    #[test]
    fn beside_another_dhcp_server_a_signed_ipxe_goes_before_a_grub() {
        let grub = ["debian/shimx64.efi", "debian/grubx64.efi"];
        let both = loaders(&[&grub[..], &["debian/snponly-shim.efi", "debian/snponly.efi"]].concat());
        assert_eq!(start("debian", Arch::Amd64, &both).as_deref(), Ok("debian/shimx64.efi"));
        assert_eq!(start_beside("debian", Arch::Amd64, &both).as_deref(), Ok("debian/snponly-shim.efi"));
        let shim = kernel_shim("debian", Arch::Amd64, &both);
        assert_eq!(shim.as_deref(), Some("debian/shimx64.efi"), "it has the kernel checked");
        assert_eq!(start_beside("debian", Arch::Amd64, &loaders(&grub)).as_deref(), Ok("debian/shimx64.efi"));
    }

    #[test]
    fn over_http_a_chain_is_an_image() {
        let debian = loaders(&["debian/shimx64.efi", "debian/grubx64.efi", "debian/efi.img"]);
        assert_eq!(over_http("debian/shimx64.efi", &debian), "debian/efi.img");
        assert_eq!(image_of("debian/efi.img"), Some("debian"));
        assert_eq!(image_of("debian/xefi.img"), None);
        assert_eq!(over_http("debian/shimx64.efi", &loaders(&[])), "debian/shimx64.efi");
    }

    #[test]
    fn files_are_known_by_their_names() {
        let cases = [
            ("debian/shimx64.efi", Some(ChainRole::Shim)),
            ("debian/grubx64.efi", Some(ChainRole::Second)),
            ("grubx64.efi", Some(ChainRole::Second)),
            ("debian/mmx64.efi", Some(ChainRole::MokManager)),
            ("debian/efi.img", Some(ChainRole::Image)),
            ("ipxe/snponly.efi", Some(ChainRole::Second)),
            ("snponly.efi", None),
            ("undionly.kpxe", None),
        ];
        for (name, expected) in cases {
            assert_eq!(role(name), expected, "{name}");
        }
    }
}

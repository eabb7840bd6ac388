//! Makes a build notice content that is new: the macro that embeds it sees changed files only.

fn main() {
    for folder in ["bootenvs", "client_classes", "templates", "workflows"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}

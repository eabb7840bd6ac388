/** What a template can use, as `docs/operating/templates.md` lists it; a test compares the two. */

export interface VocabularyWord {
  name: string;
  /** The arguments in brackets, or nothing. */
  args: string;
  about: string;
}

/** Functions. */
export const TEMPLATE_FUNCTIONS: readonly VocabularyWord[] = [
  {
    name: "param",
    args: "(name, default, unless_set)",
    about: "the value of a param, from the first level that has one",
  },
  { name: "param_keys", args: "(name)", about: "the keys of a map, also of a secret one" },
  { name: "has_param", args: "(name)", about: "whether any level has a value" },
  {
    name: "compose",
    args: "(name, default)",
    about: "the values of all levels together: lists are joined, maps are merged",
  },
  {
    name: "disk_rule",
    args: "()",
    about: "the rule for the disks of the installation, from the param disk",
  },
  {
    name: "repos",
    args: "(tag, package_type, install_source, url)",
    about: "the package repositories of the boot; each argument selects",
  },
  {
    name: "callback_url",
    args: "(event)",
    about: "URL for a report of the installer: done, failed, log, asks or installer.log",
  },
  {
    name: "file_url",
    args: "(path)",
    about: "URL of another file of this bootenv, or of a file of its artifact",
  },
  {
    name: "agent_token",
    args: "()",
    about: "the token of the machine's agent, a secret; empty in a preview",
  },
  {
    name: "range",
    args: "(start, end, step, step_by)",
    about: "whole numbers from start (0) up to, but without, end; step_by is another word for step",
  },
  {
    name: "throw",
    args: "(message)",
    about: "ends the render with this message, as a fault of the template",
  },
  {
    name: "now",
    args: "()",
    about: "the time of the document, to the second",
  },
  {
    name: "include_from",
    args: "(folder, name, default, with)",
    about: "the text of the template name in a folder, which is a plain text",
  },
  {
    name: "include_optional",
    args: "(name, with)",
    about: "the text of a template that may be absent; nothing without it",
  },
];

/** Filters, after `|`. */
export const TEMPLATE_FILTERS: readonly VocabularyWord[] = [
  { name: "sh", args: "", about: "one quoted word for a shell; of a list one word each" },
  { name: "json", args: "(pretty)", about: "JSON; with pretty=true on several lines" },
  { name: "yaml", args: "", about: "YAML; quoted where YAML would read something else than this text" },
  { name: "b64encode", args: "", about: "base64" },
  { name: "b64decode", args: "", about: "the text that base64 stands for" },
  { name: "urlencode", args: "", about: "one part of a URL" },
  { name: "password_hash", args: "(salt)", about: "a crypt(5) hash (SHA-512) of a password" },
  { name: "netmask", args: "", about: "the mask of a network, a prefix length or a mask" },
  { name: "prefix_length", args: "", about: "its prefix length" },
  { name: "one_line", args: "", about: "all lines, or all members of a list, as one line" },
  {
    name: "preseed",
    args: "",
    about: "a value for a preseed file, continued over several lines where it has several",
  },
  { name: "ipxe", args: "", about: "words of an iPXE command" },
  { name: "grub", args: "", about: "one quoted word of a GRUB command" },
  { name: "pxelinux", args: "", about: "the rest of a line of a PXELINUX configuration" },
  { name: "hex_ip", args: "", about: "an IPv4 address as PXELINUX names its files" },
  { name: "dashed", args: "", about: "a MAC address with dashes" },
  {
    name: "group_by",
    args: "(attribute)",
    about: "the members of a list by an attribute, in the order of their first members",
  },
  { name: "map", args: "(attribute, default)", about: "an attribute of each member of a list" },
  {
    name: "filter",
    args: "(attribute, value)",
    about: "the members whose attribute has this value; without value, those whose attribute is true",
  },
  {
    name: "slice",
    args: "(start, end)",
    about: "a part of a list or of a text; negative places count from the end",
  },
  { name: "concat", args: "(with)", about: "a list, followed by another list or by one value" },
  {
    name: "regex_match",
    args: "(pattern)",
    about: "whether a regular expression matches anywhere in the text",
  },
  {
    name: "regex_replace",
    args: "(pattern, with)",
    about: "every match replaced; $1 and ${name} are groups of the match",
  },
  {
    name: "regex_capture",
    args: "(pattern)",
    about: "the groups of the first match, by number and name",
  },
  { name: "regex_find", args: "(pattern)", about: "all matches, a list" },
  {
    name: "date",
    args: "(format, timezone)",
    about: "a time in the words of strftime(3), in UTC or in a time zone",
  },
  { name: "timestamp", args: "", about: "a time as seconds since 1970, for sums" },
  { name: "sha256", args: "", about: "the SHA-256 of a text, in hex" },
  { name: "sha512", args: "", about: "the SHA-512 of a text, in hex" },
  { name: "md5", args: "", about: "the MD5 of a text, for readers that know nothing else" },
  { name: "urlencode_path", args: "", about: "a path of a URL: its slashes stay" },
  { name: "urldecode", args: "", about: "the text that a part of a URL stands for" },
  {
    name: "parse_url",
    args: "",
    about: "the parts of a URL: scheme, user, host, port, path, query, fragment",
  },
  {
    name: "version_compare",
    args: "(with)",
    about: "-1, 0 or 1: older than another version, the same, newer, by the rules of deb-version(7)",
  },
  {
    name: "version_matches",
    args: "(range)",
    about: "whether a version meets all conditions: =, !=, <, <=, >, >=",
  },
  { name: "expand", args: "", about: "the value, with each text in it rendered as a template, once" },
  {
    name: "default",
    args: "(value, boolean)",
    about: "value where there is none; with boolean=true also for false, 0 and empty values",
  },
  { name: "upper", args: "", about: "in capitals" },
  { name: "lower", args: "", about: "in small letters" },
  { name: "capitalize", args: "", about: "the first letter in capitals, the rest small" },
  { name: "title", args: "", about: "the first letter of each word in capitals" },
  { name: "trim", args: "(pat)", about: "without white space, or without this text, at both ends" },
  { name: "trim_start", args: "(pat)", about: "the same at the start" },
  { name: "trim_end", args: "(pat)", about: "the same at the end" },
  { name: "replace", args: "(from, to)", about: "each from replaced" },
  { name: "truncate", args: "(length, end)", about: "at most so many characters" },
  { name: "indent", args: "(width, indentation, first, blank)", about: "each line but the first indented" },
  { name: "wordcount", args: "", about: "the number of words" },
  { name: "split", args: "(pat)", about: "a list of the parts between pat" },
  { name: "join", args: "(sep)", about: "the members of a list as one text" },
  { name: "first", args: "", about: "the first member" },
  { name: "last", args: "", about: "the last member" },
  { name: "nth", args: "(n)", about: "the member at this place, from 0" },
  { name: "length", args: "", about: "the number of members or characters" },
  { name: "reverse", args: "", about: "the other way round" },
  { name: "sort", args: "(attribute)", about: "sorted, by an attribute if it is given" },
  { name: "unique", args: "", about: "without repeated members" },
  { name: "get", args: "(key, default)", about: "the value of a key of a map" },
  { name: "keys", args: "", about: "the keys of a map" },
  { name: "values", args: "", about: "the values of a map" },
  { name: "pairs", args: "", about: "pairs of key and value" },
  { name: "str", args: "", about: "as text" },
  { name: "int", args: "(base)", about: "as a whole number" },
  { name: "float", args: "", about: "as a number" },
  { name: "abs", args: "", about: "without its sign" },
  { name: "round", args: "(method, precision)", about: "rounded; method is ceil or floor" },
  { name: "pluralize", args: "(singular, plural)", about: "an ending by number" },
  { name: "escape_html", args: "", about: "for HTML" },
  { name: "escape_xml", args: "", about: "for XML" },
  { name: "escape", args: "", about: "the same as escape_html" },
  { name: "newlines_to_br", args: "", about: "line ends as <br>" },
  { name: "safe", args: "", about: "as it is; nothing is escaped here in any case" },
];

/** Tests, after `is`. */
export const TEMPLATE_TESTS: readonly string[] = [
  "defined", "undefined", "none", "string", "number", "integer", "float", "bool", "array", "map",
  "iterable", "odd", "even", "divisible_by", "starting_with", "ending_with", "containing",
];

/** Variables that machines have. Those of one machine are read from the server. */
export const TEMPLATE_VARIABLES: readonly VocabularyWord[] = [
  { name: "machine.id", args: "", about: "the machine's id" },
  { name: "machine.name", args: "", about: "its name, as registered: web1.example.org" },
  { name: "machine.short_name", args: "", about: "the name up to the first dot: web1" },
  { name: "machine.domain", args: "", about: "the name after the first dot: example.org; empty without one" },
  { name: "machine.arch", args: "", about: "its architecture: amd64, arm64 …" },
  { name: "machine.kernel_arch", args: "", about: "the kernel's word for it: x86_64, aarch64 …" },
  {
    name: "machine.mac",
    args: "",
    about: "the MAC address that this power-on came from, else the first one; empty without any",
  },
  { name: "machine.macs", args: "", about: "all its MAC addresses, a list" },
  { name: "machine.address", args: "", about: "its present address; empty when it has none" },
  { name: "machine.smbios_uuid", args: "", about: "its SMBIOS UUID; empty when it is not known" },
  { name: "machine.serial", args: "", about: "its serial number; empty when it is not known" },
  {
    name: "machine.labels",
    args: "",
    about: "its labels, a map: machine.labels.rack, or machine.labels[\"example.org/rack\"]",
  },
  { name: "machine.profiles", args: "", about: "the names of its profiles, in order, a list" },
  { name: "bootenv.name", args: "", about: "the bootenv's name" },
  { name: "bootenv.kind", args: "", about: "install, live, local or discovery" },
  {
    name: "bootenv.os",
    args: "",
    about: "the system: bootenv.os.family, bootenv.os.version, bootenv.os.codename; null without one",
  },
  {
    name: "bootenv.artifact_url",
    args: "",
    about: "URL of the artifact with its kernel, for this architecture",
  },
  {
    name: "subnet.name",
    args: "",
    about: "the subnet of the machine's address, or else of its reserved one; subnet is null without one",
  },
  {
    name: "subnet.cidr",
    args: "",
    about: "its network: 10.0.0.0/24",
  },
  { name: "subnet.gateway", args: "", about: "its first router; empty without one" },
  { name: "subnet.dns_servers", args: "", about: "its name servers, a list" },
  { name: "subnet.domain", args: "", about: "its domain name; empty without one" },
  { name: "subnet.shared_network", args: "", about: "its shared network; empty without one" },
  { name: "subnet.options", args: "", about: "its options of DHCP, as they were written" },
  {
    name: "reservation.address",
    args: "",
    about: "the address that is reserved for the machine; reservation is null without one",
  },
  { name: "inventory", args: "", about: "what is known of the machine's hardware; empty as yet" },
  { name: "stage.name", args: "", about: "the stage of the step" },
  { name: "server.address", args: "", about: "the server's address, as this machine reaches it" },
  { name: "server.http", args: "", about: "URL of the HTTP boot listener; empty when it is off" },
  { name: "server.https", args: "", about: "URL of the HTTPS boot listener; empty when it is off" },
  { name: "server.tftp", args: "", about: "tftp:// and the address" },
  { name: "server.api", args: "", about: "URL of the API; empty when machines cannot reach it" },
  { name: "server.api_fingerprint", args: "", about: "fingerprint of the API's authority, for an agent" },
  { name: "boot.cmdline", args: "", about: "the kernel's command line, rendered" },
  { name: "boot.message", args: "", about: "the reason that a screen shows" },
  { name: "boot.run", args: "", about: "the id of the run; null without one" },
  { name: "boot.attempt", args: "", about: "the number of the boot attempt" },
  { name: "boot.firmware", args: "", about: "bios, uefi, or unknown" },
  { name: "boot.base_url", args: "", about: "URL of the machine's own files in this boot attempt" },
  {
    name: "boot.shim",
    args: "",
    about: "URL of the shim that checks the kernel under Secure Boot; null without one",
  },
  { name: "boot.kernel", args: "", about: "the kernel: boot.kernel.name, boot.kernel.url, boot.kernel.path" },
  { name: "boot.initrds", args: "", about: "a list of the initrds, each like the kernel" },
  { name: "boot.initrd", args: "", about: "one file with all initrds; null without any" },
  { name: "menu.entries", args: "", about: "the entries of the menu for unknown machines" },
  { name: "task.name", args: "", about: "the task's name" },
  { name: "job.id", args: "", about: "the id of the job that runs the task" },
  { name: "mac", args: "", about: "the hardware address of the packet" },
  { name: "address", args: "", about: "the address that the client gets" },
];

/** Words that begin a statement. */
export const TEMPLATE_STATEMENTS: readonly string[] = [
  "if", "elif", "else", "endif", "for", "endfor", "break", "continue", "set", "endset", "set_global",
  "endset_global", "filter", "endfilter", "raw", "endraw", "include", "extends", "block", "endblock",
];

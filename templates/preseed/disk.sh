{#- Runs in the Debian installer before partitioning: names the disk to install on. -#}
#!/bin/sh
# {{ bootenv.name }} for {{ machine.name }}: the disk to install on.
set -eu
{% include "snippets/shell/report-wget.sh" %}
{% include "snippets/shell/choose-disk.sh" %}
if disk=$(choose_disk 2>/tmp/metalwright-disk.err); then
	debconf-set partman-auto/disk "$disk"
	debconf-set grub-installer/bootdev "$disk"
	report log "installing on $disk" || true
else
	report failed "$(cat /tmp/metalwright-disk.err)" || true
	exit 1
fi

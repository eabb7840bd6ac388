# Stands in for the part of the Debian installer that writes partition tables. Where the disk has LVM, partman-lvm's own
# code asks for its removal.

prepare_new_labels() {
	for dev in "$@"; do
		if [ -e /lib/partman/lib/lvm-remove.sh ]; then
			. /lib/partman/lib/lvm-remove.sh
			device_remove_lvm "$dev" || return 1
		fi
	done
}

# create_new_label DEVICE ASK: an empty partition table in parted_server's memory; nothing is on the disk before the commit.
create_new_label() {
	cd "$1" || return 1
	open_dialog NEW_LABEL msdos
	close_dialog
	rm -rf ./[0-9]*-[0-9]*
	partitions=
	open_dialog PARTITIONS
	while { read_line num id rest; [ "$id" ]; }; do
		partitions="$partitions $id"
	done
	close_dialog
	for id in $partitions; do
		update_partition "$1" "$id"
	done
}

{#- Says in the job's log what was installed. -#}
#!/bin/sh
# What runs on {{ machine.name }} now.
set -eu
{% block before_facts %}{% endblock -%}
{% block facts -%}
. /etc/os-release
echo "os: $PRETTY_NAME"
echo "kernel: $(uname -srm)"
echo "booted: $(if [ -d /sys/firmware/efi ]; then echo uefi; else echo bios; fi)"
echo "command line: $(cat /proc/cmdline)"
echo "root: $(findmnt --noheadings --output SOURCE,FSTYPE,SIZE /)"
{% endblock -%}
{% block after_facts %}{% endblock -%}

BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'objects','2026-11-30 02:03:30',1,X'C1F71F94918D63FE33D05623D735FCC354AE5F2BA2917F744E8A8D693FAA80684105FC300BFBFED2F482CD3FED379991',9197007);
INSERT INTO "_sqlx_migrations" VALUES(2,'held_values','2026-11-30 02:03:30',1,X'406EB2702AA45B125F2434AA7089FD2340B66844A2FC9FDE6BA39064E2299333CC406A3339E11BCBA596C5B3E5F9342D',19926559);
INSERT INTO "_sqlx_migrations" VALUES(3,'client_classes','2026-11-30 02:03:30',1,X'1322A8538586C40AF3AF7D3A431DE3913CC9E840B949DB5721689D5D4F89F2B431AF521BE672B72A4EEDB9E76FF58E6C',3920614);
INSERT INTO "_sqlx_migrations" VALUES(4,'lease_history','2026-11-30 02:03:30',1,X'1C9458AAC99FB58BC4ED246778877F17C42918726679C51AFAFEBFD387E1449C9A56ACE45FE86CE08AEBFA25F2DC0F68',3967793);
INSERT INTO "_sqlx_migrations" VALUES(5,'lease_trail','2026-11-30 02:03:30',1,X'9D0B218981D42534D254EB0E2203C4575705BA17C0AA31CB3B1ECDA0F4DC5BD82E46AD3DF730C749C74A105FAFF34F4A',3964768);
INSERT INTO "_sqlx_migrations" VALUES(6,'event_keys','2026-11-30 02:03:30',1,X'FF295363516C8163C09E85DD2F66BC35408ABC223934DF8401CD5652F1C4568E8AB30E47EF949B7908C394017AE512CC',3927468);
INSERT INTO "_sqlx_migrations" VALUES(7,'destructive_bootenvs','2026-11-30 02:03:30',1,X'C56F2287DE0E63F6CF16CEB3ED0CB2D797851354CF67CA86C16C500312E3ED468FE2E5CE5451D123848A479DD0BA8891',4043895);
CREATE TABLE artifact (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "artifact" VALUES('files',3,'{"spec":{"name":"files","kind":"tree","path":"@FILES@"},"status":{"state":"ready","origin":"@FILES@","served_origin":"@FILES@","roots":"within","sha256":"a18986038b2d92ce79723af9936ae229d2711f28d75f701771f265249e9a4b19","size":17,"files":2,"boot_path":"artifacts/files/","verified_at":"2026-11-30T02:03:31.287207693Z"},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.210867905Z","updated_at":"2026-11-30T02:03:31.287269872Z"}','[]');
CREATE TABLE bootenv (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "bootenv" VALUES('local',1,'{"spec":{"name":"local","kind":"local","destructive":null,"arches":{},"boot_params":"","templates":[],"required_params":[],"description":"Leaves to the machine''s own disk. Where every machine goes that has nothing else to do."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "bootenv" VALUES('wipe',1,'{"spec":{"name":"wipe","kind":"install","destructive":true,"arches":{"amd64":{"artifact":"files","kernel":"linux","initrds":["initrd.gz"]}},"boot_params":"","templates":[{"name":"answer","path":"answer.cfg","template":"site/answer"}],"required_params":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.577533809Z","updated_at":"2026-11-30T02:03:31.577533809Z"}','[]');
INSERT INTO "bootenv" VALUES('look',1,'{"spec":{"name":"look","kind":"live","destructive":null,"arches":{"amd64":{"artifact":"files","kernel":"linux","initrds":["initrd.gz"]}},"boot_params":"","templates":[],"required_params":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.586383483Z","updated_at":"2026-11-30T02:03:31.586383483Z"}','[]');
CREATE TABLE client_class (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE "event" (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL, -- microseconds since 1970
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    attempt TEXT,
    data TEXT NOT NULL
) STRICT;
INSERT INTO "event" VALUES(78,1796004212343978,'job.finished','machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e','machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e',NULL,'{"attempt":1,"exit":0,"job":"01a22a31-6e6f-733f-b1d4-4c94cbbfd9f0","reason":"","stage":"working","task":"second"}');
INSERT INTO "event" VALUES(79,1796004212343978,'run.step_done','machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e','machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e',NULL,'{"kind":"task","name":"second","state":"done","step":2}');
INSERT INTO "event" VALUES(80,1796004212343978,'run.completed','machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e','machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e',NULL,'{"stage":"working","workflow":"work"}');
CREATE TABLE event_key (
    part INTEGER NOT NULL, -- event >> 8
    key TEXT NOT NULL,
    event_kind TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (part, key, event_kind, event)
) STRICT, WITHOUT ROWID;
INSERT INTO "event_key" VALUES(0,'machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e','job.finished',78);
INSERT INTO "event_key" VALUES(0,'machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e','run.completed',80);
INSERT INTO "event_key" VALUES(0,'machine:01a22a31-6d34-71a1-87b0-3bb8fae1812e','run.step_done',79);
CREATE TABLE job (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "job" VALUES('01a22a31-6e41-712a-a48e-5693a4afe63a',2,'{"spec":{"machine":"01a22a31-6cde-77b1-99fe-1d6c95427138","run":"01a22a31-6cef-7233-a4a3-c9a617c219c8","step":1,"stage":"working","task":"first","state":"running","attempt":1,"started_at":"2026-11-30T02:03:32.303830948Z","deadline":"2099-01-01T00:00:00Z","log_bytes":0,"digest":"d42610a2e3b2ee76ef16451d9aae66683c2b18d0ac2402bc4ae17cc49ae5f0b4"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.289055951Z","updated_at":"2026-11-30T02:03:32.303830948Z"}','[]');
INSERT INTO "job" VALUES('01a22a31-6e5c-77ff-9168-f8e180f497dc',2,'{"spec":{"machine":"01a22a31-6d34-71a1-87b0-3bb8fae1812e","run":"01a22a31-6d4e-752f-9492-b7571b4fbf8e","step":1,"stage":"working","task":"first","state":"finished","exit":0,"attempt":1,"ended_at":"2026-11-30T02:03:32.327543091Z","deadline":"2026-11-30T03:04:02.316518063Z","log_bytes":0,"digest":"d42610a2e3b2ee76ef16451d9aae66683c2b18d0ac2402bc4ae17cc49ae5f0b4"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.316518063Z","updated_at":"2026-11-30T02:03:32.327543091Z"}','[]');
INSERT INTO "job" VALUES('01a22a31-6e6f-733f-b1d4-4c94cbbfd9f0',2,'{"spec":{"machine":"01a22a31-6d34-71a1-87b0-3bb8fae1812e","run":"01a22a31-6d4e-752f-9492-b7571b4fbf8e","step":2,"stage":"working","task":"second","state":"finished","exit":0,"attempt":1,"ended_at":"2026-11-30T02:03:32.343978895Z","deadline":"2026-11-30T03:04:02.335614548Z","log_bytes":0,"digest":"ebda32674d949e4905ad0a4ad2f9cfd37e3881775d4063946f83d81a5b512795"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.335614548Z","updated_at":"2026-11-30T02:03:32.343978895Z"}','[]');
CREATE TABLE job_log (
    job TEXT NOT NULL REFERENCES job (key) ON DELETE CASCADE,
    start INTEGER NOT NULL, -- offset of the first byte
    bytes BLOB NOT NULL,
    PRIMARY KEY (job, start)
) STRICT;
CREATE TABLE "lease" (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL
) STRICT;
CREATE TABLE machine (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "machine" VALUES('01a22a31-6c45-74c7-a968-70ecdc5ca047',2,'{"spec":{"name":"waiting","macs":["52:54:00:aa:00:01"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"etyx+aG2dX+fcNcUmsr3WD6nfWNoYcZt7OrJdCen2WSvSL5sN5b3xBaVaYuFKxsIQqivXA=="}},"locked":false},"status":{"state":"waiting","reason":"power the machine on: it boots `look` from the network","since":"2026-11-30T02:03:31.806332574Z","stage":"looking","bootenv":"look","run":{"id":"01a22a31-6c5f-7490-97f5-65e03ac40d02","workflow":"look","started_at":"2026-11-30T02:03:31.806332574Z","paused":false,"rehearse":false},"steps":[{"kind":"stage","name":"looking","stage":"looking","digest":"25b790df5c0541470e0f91da187744fc21d48bbc2c1a6567cf8d8bdb328186ac","state":"done"},{"kind":"bootenv","name":"look","stage":"looking","digest":"2f0f0d4aacbd20ecbd625f40c89baf3a12a31c427ec860f68ba4271181b83812","state":"running"},{"kind":"task","name":"first","stage":"looking","digest":"c701bfc614dc0894232c0d4f00bb893164a61ed7500cd969da9a5dd1710d6d8f","state":"pending"},{"kind":"stage","name":"last","stage":"last","digest":"e3de82a99713c82f87b6bcbeb009976537a0627d6bd89bd93773dafddf032064","state":"pending"},{"kind":"bootenv","name":"local","stage":"last","digest":"fd97d1e9821f66cb3a42b2ddcb8d17c08d0bec5e87096412355b9e3490561888","state":"pending"}],"cursor":1,"waiting":{"reason":"power the machine on: it boots `look` from the network","since":"2026-11-30T02:03:31.806332574Z","expected":"boot.kernel_fetched","overdue_at":"2099-01-01T00:00:00Z"},"fruitless_attempts":0,"tries":{"jobs":0,"failures":0,"reboots":0}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.77830416Z","updated_at":"2026-11-30T02:03:31.806332574Z"}','[["name","waiting"],["mac","52:54:00:aa:00:01"]]');
INSERT INTO "machine" VALUES('01a22a31-6c76-77c0-809a-402a2af99f0d',2,'{"spec":{"name":"armed","macs":["52:54:00:aa:00:02"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"B8cH7oLQ//+l1tlx4QRJJAF0ScIVjWmPg4tkeaVQfWrM5DclWDssjtvPFJRxBDSkvm27EQ=="}},"locked":false},"status":{"state":"waiting","reason":"power the machine on: it boots `wipe` from the network","since":"2026-11-30T02:03:31.861429075Z","stage":"wiping","bootenv":"wipe","run":{"id":"01a22a31-6c96-7060-8d6a-5bbf503395ce","workflow":"reinstall","started_at":"2026-11-30T02:03:31.861429075Z","paused":false,"rehearse":false},"steps":[{"kind":"stage","name":"wiping","stage":"wiping","digest":"2a0591d0a80b9347b7edd1222b8ba037f3042c6801ec535a05f549b815fdd320","state":"done"},{"kind":"bootenv","name":"wipe","stage":"wiping","digest":"b9f0e36927c0486fc975d727c89eb44dc5de15e54b4209dadca13897f61103eb","state":"running"},{"kind":"stage","name":"last","stage":"last","digest":"e3de82a99713c82f87b6bcbeb009976537a0627d6bd89bd93773dafddf032064","state":"pending"},{"kind":"bootenv","name":"local","stage":"last","digest":"fd97d1e9821f66cb3a42b2ddcb8d17c08d0bec5e87096412355b9e3490561888","state":"pending"}],"cursor":1,"waiting":{"reason":"power the machine on: it boots `wipe` from the network","since":"2026-11-30T02:03:31.861429075Z","expected":"boot.kernel_fetched","overdue_at":"2099-01-01T00:00:00Z"},"armed_until":"2099-01-01T00:00:00Z","fruitless_attempts":0,"tries":{"jobs":0,"failures":0,"reboots":0}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.830167493Z","updated_at":"2026-11-30T02:03:31.861429075Z"}','[["name","armed"],["mac","52:54:00:aa:00:02"]]');
INSERT INTO "machine" VALUES('01a22a31-6cab-7609-b548-501890745f6e',5,'{"spec":{"name":"installing","macs":["52:54:00:aa:00:03"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"jM5CU1TTtBYTdSLxRxMZ0vp4LMTecLy9/aPmkvIA8LAP/Jaq8EDVeTTfcfNL44q9TnuDYA=="}},"locked":false},"status":{"state":"running","reason":"the installer of `wipe` is at work","since":"2026-11-30T02:03:32.22359009Z","stage":"wiping","bootenv":"wipe","run":{"id":"01a22a31-6cbf-7225-b2df-65a349ef1473","workflow":"reinstall","started_at":"2026-11-30T02:03:31.902482579Z","paused":false,"rehearse":false},"steps":[{"kind":"stage","name":"wiping","stage":"wiping","digest":"2a0591d0a80b9347b7edd1222b8ba037f3042c6801ec535a05f549b815fdd320","state":"done"},{"kind":"bootenv","name":"wipe","stage":"wiping","digest":"b9f0e36927c0486fc975d727c89eb44dc5de15e54b4209dadca13897f61103eb","state":"running"},{"kind":"stage","name":"last","stage":"last","digest":"e3de82a99713c82f87b6bcbeb009976537a0627d6bd89bd93773dafddf032064","state":"pending"},{"kind":"bootenv","name":"local","stage":"last","digest":"fd97d1e9821f66cb3a42b2ddcb8d17c08d0bec5e87096412355b9e3490561888","state":"pending"}],"cursor":1,"waiting":{"reason":"the installer of `wipe` is at work","since":"2026-11-30T02:03:32.22359009Z","expected":"boot.done","overdue_at":"2099-01-01T00:00:00Z"},"last_seen":"2026-11-30T02:03:32.22359009Z","boot_attempt":{"id":"01a22a31-6d71-706a-bd55-eb88492faacc","number":1,"started_at":"2026-11-30T02:03:32.081419468Z","seen_at":"2026-11-30T02:03:32.22359009Z","progress":"system","mac":"52:54:00:aa:00:03","server":"127.0.0.1","bootenv":"wipe","step":1,"kernel_fetched_at":"2026-11-30T02:03:32.21798676Z","deadline":"2099-01-01T00:00:00Z"},"fruitless_attempts":0,"tries":{"jobs":0,"failures":0,"reboots":0}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.882454497Z","updated_at":"2026-11-30T02:03:32.22359009Z"}','[["name","installing"],["mac","52:54:00:aa:00:03"],["attempt","01a22a31-6d71-706a-bd55-eb88492faacc"]]');
INSERT INTO "machine" VALUES('01a22a31-6cde-77b1-99fe-1d6c95427138',4,'{"spec":{"name":"agent","macs":["52:54:00:aa:00:04"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"E28lfIdti15T/DjEqum+gxRXtCxlPdr/3JV7manqjLpyAr4W92vy/JDs4BQuCQLcg5DqAQ=="}},"locked":false},"status":{"state":"running","reason":"task `first` is running","since":"2026-11-30T02:03:32.289055951Z","stage":"working","run":{"id":"01a22a31-6cef-7233-a4a3-c9a617c219c8","workflow":"work","started_at":"2026-11-30T02:03:31.950500938Z","paused":false,"rehearse":false},"steps":[{"kind":"stage","name":"working","stage":"working","digest":"cc8d87617816f4dec55683dca1be6dfdc85db02bc6a6a6384203d13172c0f304","state":"done"},{"kind":"task","name":"first","stage":"working","digest":"c701bfc614dc0894232c0d4f00bb893164a61ed7500cd969da9a5dd1710d6d8f","state":"running"},{"kind":"task","name":"second","stage":"working","digest":"34aa89ee63628cdb769222f6a0430cd36820814a7c3658ee13194b811d1766d3","state":"pending"}],"cursor":1,"job":"01a22a31-6e41-712a-a48e-5693a4afe63a","waiting":{"reason":"task `first` is running","since":"2026-11-30T02:03:32.303830948Z","expected":"job.finished","overdue_at":"2099-01-01T00:00:00Z"},"last_seen":"2026-11-30T02:03:32.289055951Z","fruitless_attempts":0,"tries":{"jobs":1,"failures":0,"reboots":0},"agent":{"environment":"installed","boot":"b1","leaving":false}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.933999866Z","updated_at":"2026-11-30T02:03:32.303830948Z"}','[["name","agent"],["mac","52:54:00:aa:00:04"]]');
INSERT INTO "machine" VALUES('01a22a31-6d03-73e6-a462-2342925247dc',5,'{"spec":{"name":"failed","macs":["52:54:00:aa:00:05"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"wSgS+twc/NgmciszdnDWyKVyuRpIeVa9tytHjfoA9Gh7FzV+2uZtJFrWSD20/swePWF+1Q=="}},"locked":false},"status":{"state":"failed","reason":"`wipe` reported that it failed: no disk","since":"2026-11-30T02:03:32.251812361Z","stage":"wiping","run":{"id":"01a22a31-6d1f-7710-b121-ba4537626487","workflow":"reinstall","started_at":"2026-11-30T02:03:31.998577496Z","paused":false,"rehearse":false},"steps":[{"kind":"stage","name":"wiping","stage":"wiping","digest":"2a0591d0a80b9347b7edd1222b8ba037f3042c6801ec535a05f549b815fdd320","state":"done"},{"kind":"bootenv","name":"wipe","stage":"wiping","digest":"b9f0e36927c0486fc975d727c89eb44dc5de15e54b4209dadca13897f61103eb","state":"failed","note":"`wipe` reported that it failed: no disk"},{"kind":"stage","name":"last","stage":"last","digest":"e3de82a99713c82f87b6bcbeb009976537a0627d6bd89bd93773dafddf032064","state":"pending"},{"kind":"bootenv","name":"local","stage":"last","digest":"fd97d1e9821f66cb3a42b2ddcb8d17c08d0bec5e87096412355b9e3490561888","state":"pending"}],"cursor":1,"waiting":{"reason":"`wipe` reported that it failed: no disk","since":"2026-11-30T02:03:32.251812361Z","expected":"run.retried"},"last_seen":"2026-11-30T02:03:32.246876988Z","boot_attempt":{"id":"01a22a31-6e0b-7016-a7de-44a96c655e57","number":1,"started_at":"2026-11-30T02:03:32.235365991Z","seen_at":"2026-11-30T02:03:32.251812361Z","progress":"ended","mac":"52:54:00:aa:00:05","server":"127.0.0.1","bootenv":"wipe","step":1,"kernel_fetched_at":"2026-11-30T02:03:32.246876988Z","result":"failed"},"fruitless_attempts":0,"tries":{"jobs":0,"failures":0,"reboots":0}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.970429274Z","updated_at":"2026-11-30T02:03:32.251812361Z"}','[["name","failed"],["mac","52:54:00:aa:00:05"],["attempt","01a22a31-6e0b-7016-a7de-44a96c655e57"]]');
INSERT INTO "machine" VALUES('01a22a31-6d34-71a1-87b0-3bb8fae1812e',6,'{"spec":{"name":"done","macs":["52:54:00:aa:00:06"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"PoMad7gYNBq7zxD8TmAK+wFYhO2jfvx6+Wgo4JUJOY8ScO2FcjpK3Nk+oCcOjvcDtmRVbA=="}},"locked":false},"status":{"state":"complete","reason":"workflow `work` is complete","since":"2026-11-30T02:03:32.343978895Z","stage":"working","run":{"id":"01a22a31-6d4e-752f-9492-b7571b4fbf8e","workflow":"work","started_at":"2026-11-30T02:03:32.045790864Z","ended_at":"2026-11-30T02:03:32.343978895Z","paused":false,"rehearse":false},"steps":[{"kind":"stage","name":"working","stage":"working","digest":"cc8d87617816f4dec55683dca1be6dfdc85db02bc6a6a6384203d13172c0f304","state":"done"},{"kind":"task","name":"first","stage":"working","digest":"c701bfc614dc0894232c0d4f00bb893164a61ed7500cd969da9a5dd1710d6d8f","state":"done"},{"kind":"task","name":"second","stage":"working","digest":"34aa89ee63628cdb769222f6a0430cd36820814a7c3658ee13194b811d1766d3","state":"done"}],"cursor":3,"last_seen":"2026-11-30T02:03:32.316518063Z","fruitless_attempts":0,"tries":{"jobs":0,"failures":0,"reboots":0},"agent":{"environment":"installed","boot":"b1","leaving":false}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.019510831Z","updated_at":"2026-11-30T02:03:32.343978895Z"}','[["name","done"],["mac","52:54:00:aa:00:06"]]');
INSERT INTO "machine" VALUES('01a22a31-6d5f-719b-a31e-e0c7b2388f9c',1,'{"spec":{"name":"idle","macs":["52:54:00:aa:00:07"],"arch":"amd64","profiles":["site"],"params":{"root_word":{"sealed":"GfEHp+Z2Sui1Sj3VDnovfXe8jZI14ZmPkk1HIIfisls7wYGqYr+aZu8dEH8nog2DCceGlA=="}},"locked":false},"status":{"state":"registered","reason":"","steps":[],"cursor":0,"fruitless_attempts":0,"tries":{"jobs":0,"failures":0,"reboots":0}},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.06245798Z","updated_at":"2026-11-30T02:03:32.06245798Z"}','[["name","idle"],["mac","52:54:00:aa:00:07"]]');
CREATE TABLE param (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "param" VALUES('disk',1,'{"spec":{"name":"disk","schema":true,"default":"/dev/sda","secret":false},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.511754701Z","updated_at":"2026-11-30T02:03:31.511754701Z"}','[]');
INSERT INTO "param" VALUES('root_word',1,'{"spec":{"name":"root_word","schema":true,"secret":true},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.538142171Z","updated_at":"2026-11-30T02:03:31.538142171Z"}','[]');
CREATE TABLE profile (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "profile" VALUES('site',1,'{"spec":{"name":"site","params":{"disk":"/dev/vda"},"profiles":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.548047167Z","updated_at":"2026-11-30T02:03:31.548047167Z"}','[]');
CREATE TABLE reservation (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
CREATE TABLE setting (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "setting" VALUES('unknown_machine',1,'{"spec":{"name":"unknown_machine","value":"local"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "setting" VALUES('default_workflow',1,'{"spec":{"name":"default_workflow","value":null},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "setting" VALUES('default_bootenv',1,'{"spec":{"name":"default_bootenv","value":"local"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "setting" VALUES('artifact_proxy',1,'{"spec":{"name":"artifact_proxy","value":null},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "setting" VALUES('secure_boot',1,'{"spec":{"name":"secure_boot","value":false},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "setting" VALUES('own_address_only',1,'{"spec":{"name":"own_address_only","value":true},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
CREATE TABLE stage (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "stage" VALUES('wiping',1,'{"spec":{"name":"wiping","bootenv":"wipe","tasks":[],"params":{},"profiles":[],"required_params":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.633854955Z","updated_at":"2026-11-30T02:03:31.633854955Z"}','[]');
INSERT INTO "stage" VALUES('looking',1,'{"spec":{"name":"looking","bootenv":"look","tasks":["first"],"params":{},"profiles":[],"required_params":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.66244183Z","updated_at":"2026-11-30T02:03:31.66244183Z"}','[]');
INSERT INTO "stage" VALUES('last',1,'{"spec":{"name":"last","bootenv":"local","tasks":[],"params":{},"profiles":[],"required_params":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.686372363Z","updated_at":"2026-11-30T02:03:31.686372363Z"}','[]');
INSERT INTO "stage" VALUES('working',1,'{"spec":{"name":"working","tasks":["first","second"],"params":{},"profiles":[],"required_params":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.702186431Z","updated_at":"2026-11-30T02:03:31.702186431Z"}','[]');
CREATE TABLE subnet (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
CREATE TABLE task (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "task" VALUES('first',1,'{"spec":{"name":"first","templates":[{"name":"run","template":"site/run"}],"interpreter":"/bin/sh","prerequisites":[],"required_params":[],"timeout_seconds":3600,"retries":0,"on_failure":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.594440393Z","updated_at":"2026-11-30T02:03:31.594440393Z"}','[]');
INSERT INTO "task" VALUES('second',1,'{"spec":{"name":"second","templates":[{"name":"run","template":"site/run"}],"interpreter":"/bin/sh","prerequisites":[],"required_params":[],"timeout_seconds":3600,"retries":0,"on_failure":[]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.612747851Z","updated_at":"2026-11-30T02:03:31.612747851Z"}','[]');
CREATE TABLE template (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "template" VALUES('ipxe/again.ipxe',1,'{"spec":{"name":"ipxe/again.ipxe","body":"{#- The end of a script that did not boot: waits, asks the server anew, and at last reboots. -#}\nisset ${netX/ip} || echo Metalwright: no network interface of this machine could be configured.\nsleep 30\nisset ${netX/ip} || ifconf ||\nchain --replace --autofree {{ server.http }}/boot.ipxe?mac=${netX/mac}&uuid=${uuid} ||\necho The server does not answer. Trying once more in 30 seconds, then this machine reboots.\nsleep 30\nisset ${netX/ip} || ifconf ||\nchain --replace --autofree {{ server.http }}/boot.ipxe?mac=${netX/mac}&uuid=${uuid} || reboot\n","description":"The end of a script that did not boot: waits, asks the server anew, and at last reboots."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('ipxe/boot.ipxe',1,'{"spec":{"name":"ipxe/boot.ipxe","body":"{#- Starts the kernel and initrds of an install or live bootenv. -#}\n#!ipxe\n{% include \"ipxe/network.ipxe\" -%}\n# On UEFI the kernel finds its initrds by the names on its command line; on BIOS the names do no harm.\n# imgfree drops what an earlier script left behind, which the kernel would be given as well.\n{% if machine is defined -%}\necho Metalwright: {{ machine.name | ipxe }} boots {{ bootenv.name | ipxe }}, attempt {{ boot.attempt | ipxe }}\n{% endif -%}\nimgfree\nkernel --name {{ boot.kernel.name }} {{ boot.kernel.url }}\n  {%- for initrd in boot.initrds %} initrd={{ initrd.name }}{% endfor %} {{ boot.cmdline | one_line | ipxe }} || goto failed\n{% for initrd in boot.initrds -%}\ninitrd --name {{ initrd.name }} {{ initrd.url }} || goto failed\n{% endfor -%}\n{% if boot.shim -%}\nshim {{ boot.shim }} || goto failed\n{% endif -%}\nboot || goto failed\n:failed\necho Metalwright: {{ bootenv.name | ipxe }} could not be started. The server is asked again in 30 seconds.\n{% include \"ipxe/again.ipxe\" %}\n","description":"Starts the kernel and initrds of an install or live bootenv."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('ipxe/identify.ipxe',1,'{"spec":{"name":"ipxe/identify.ipxe","body":"{#- For a client at an unknown address: asks again and says who it is. -#}\n#!ipxe\n{% include \"ipxe/network.ipxe\" -%}\nchain --replace --autofree {{ server.http }}/boot.ipxe?mac=${netX/mac}&uuid=${uuid} ||\n:failed\necho Metalwright: {{ server.http | ipxe }} did not tell this machine what to boot.\n{% include \"ipxe/again.ipxe\" %}\n","description":"For a client at an unknown address: asks again and says who it is."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('ipxe/local.ipxe',1,'{"spec":{"name":"ipxe/local.ipxe","body":"{#- Leaves to the disk: BIOS starts the first drive, UEFI goes to the next entry of its boot order. The disk needs no network. -#}\n#!ipxe\n{% include \"ipxe/network.ipxe\" -%}\n:failed\necho Metalwright: booting from the disk\niseq ${platform} efi && goto efi ||\nsanboot --no-describe --drive 0x80 || exit\n:efi\nexit 1\n","description":"Leaves to the disk: BIOS starts the first drive, UEFI goes to the next entry of its boot order. The disk needs no network."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('ipxe/menu.ipxe',1,'{"spec":{"name":"ipxe/menu.ipxe","body":"{#- What an unknown machine may boot. Who does nothing gets the disk. -#}\n#!ipxe\n{% include \"ipxe/network.ipxe\" -%}\nmenu Metalwright: this machine is not known to the server || goto local\nitem local Boot from the disk\n{% for entry in menu.entries -%}\nitem entry{{ loop.index }} {{ entry.title | ipxe }}\n{% endfor -%}\nchoose --default local --timeout 30000 chosen || goto local\ngoto ${chosen} || goto local\n{% for entry in menu.entries -%}\n:entry{{ loop.index }}\nchain --replace --autofree {{ server.http }}/menu/{{ entry.name }}/boot.ipxe?mac=${netX/mac}&uuid=${uuid} || goto local\n{% endfor -%}\n:local\n{% include \"ipxe/local.ipxe\" %}\n","description":"What an unknown machine may boot. Who does nothing gets the disk."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('ipxe/network.ipxe',1,'{"spec":{"name":"ipxe/network.ipxe","body":"{#- Opens and configures a network interface. Follows `#!ipxe` in every script that iPXE may be given. iPXE since 2021 runs autoexec.ipxe before it has done so; `netX/ip` is empty then, while `net0/ip` is set. -#}\nisset ${netX/ip} || ifconf || goto failed\n","description":"Opens and configures a network interface. Follows `#!ipxe` in every script that iPXE may be given. iPXE since 2021 runs autoexec.ipxe before it has done so; `netX/ip` is empty then, while `net0/ip` is set."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('ipxe/screen.ipxe',1,'{"spec":{"name":"ipxe/screen.ipxe","body":"{#- Says on the machine''s own screen why it does not boot, and asks the server again. `--`: a line may begin with a dash. -#}\n#!ipxe\n{% include \"ipxe/network.ipxe\" -%}\n:failed\n{% set lines %}{% include \"snippets/screen.txt\" %}{% endset -%}\n{% for line in lines | split(pat=\"\\n\") -%}\necho -- {{ line | ipxe }}\n{% endfor -%}\n{% include \"ipxe/again.ipxe\" %}\n","description":"Says on the machine''s own screen why it does not boot, and asks the server again. `--`: a line may begin with a dash."},"status":{},"faults":[],"labels":{},"source":"pack core@0.1.0","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[]');
INSERT INTO "template" VALUES('site/answer',1,'{"spec":{"name":"site/answer","body":"disk {{ param(name=''disk'') }} of {{ machine.name }} word {{ param(name=''root_word'') }}\n"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.558445682Z","updated_at":"2026-11-30T02:03:31.558445682Z"}','[]');
INSERT INTO "template" VALUES('site/run',1,'{"spec":{"name":"site/run","body":"#!/bin/sh\necho {{ task.name }} {{ param(name=''disk'') }}\n"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.568611896Z","updated_at":"2026-11-30T02:03:31.568611896Z"}','[]');
CREATE TABLE token (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "token" VALUES('admin',1,'{"spec":{"name":"admin","scopes":["*"],"sha256":"ff2e3856d63a570b1d28b61b4eeb0bdc860331a04c7cf6ceab58a2e91542a682"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:30.878348607Z","updated_at":"2026-11-30T02:03:30.878348607Z"}','[["sha256","ff2e3856d63a570b1d28b61b4eeb0bdc860331a04c7cf6ceab58a2e91542a682"]]');
INSERT INTO "token" VALUES('agent',1,'{"spec":{"name":"agent","scopes":["agent:01a22a31-6cde-77b1-99fe-1d6c95427138"],"sha256":"8eaeffeeac1c45e2d31003045a1ac34bea8470bf268a040d9865a99ed40f62a3"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.263131819Z","updated_at":"2026-11-30T02:03:32.263131819Z"}','[["sha256","8eaeffeeac1c45e2d31003045a1ac34bea8470bf268a040d9865a99ed40f62a3"]]');
INSERT INTO "token" VALUES('done',1,'{"spec":{"name":"done","scopes":["agent:01a22a31-6d34-71a1-87b0-3bb8fae1812e"],"sha256":"6ef076b5a403288ee5a2ab4032329a683a7a05ebdd17ac366b4398bc3d464854"},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:32.276859347Z","updated_at":"2026-11-30T02:03:32.276859347Z"}','[["sha256","6ef076b5a403288ee5a2ab4032329a683a7a05ebdd17ac366b4398bc3d464854"]]');
CREATE TABLE workflow (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL
, held TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "workflow" VALUES('reinstall',1,'{"spec":{"name":"reinstall","stages":["wiping","last"]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.721884088Z","updated_at":"2026-11-30T02:03:31.721884088Z"}','[]');
INSERT INTO "workflow" VALUES('look',1,'{"spec":{"name":"look","stages":["looking","last"]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.741966764Z","updated_at":"2026-11-30T02:03:31.741966764Z"}','[]');
INSERT INTO "workflow" VALUES('work',1,'{"spec":{"name":"work","stages":["working"]},"status":{},"faults":[],"labels":{},"source":"site","created_at":"2026-11-30T02:03:31.761974269Z","updated_at":"2026-11-30T02:03:31.761974269Z"}','[]');
CREATE INDEX event_attempt ON event (attempt, seq) WHERE attempt IS NOT NULL;
COMMIT;

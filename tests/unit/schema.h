/* A catalog of this version taken back to an earlier schema: what its migrations did, undone. */
#pragma once

#define SCHEMA_BACK_TO_3                                                                           \
	"DROP INDEX message_place;"                                                                \
	"ALTER TABLE segment DROP COLUMN messages; ALTER TABLE segment DROP COLUMN bytes;"         \
	"ALTER TABLE segment DROP COLUMN first; ALTER TABLE segment DROP COLUMN digest;"           \
	"DROP TABLE lost; DROP TABLE upkeep; DROP TABLE scrub; DROP TABLE handed;"                 \
	"DROP TABLE stretch; DROP TABLE filing;"                                                   \
	"PRAGMA user_version = 3;"
#define SCHEMA_BACK_TO_2 SCHEMA_BACK_TO_3 "DROP TABLE health; PRAGMA user_version = 2;"
#define SCHEMA_BACK_TO_1 SCHEMA_BACK_TO_2 "DROP INDEX maildrop_name; PRAGMA user_version = 1;"

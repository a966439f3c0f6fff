/* The formats that export_file.c writes. */
#include "cli/export_file.h"

static const struct export_kind mboxrd_kind = {
	.format = &export_mboxrd,
	.pack = &pack_mboxrd,
	.in_place = true,
};

static int mboxrd_open(const struct export_job *job, struct export_target **ret, struct fault *f)
{
	return export_file_open(&mboxrd_kind, job, ret, f);
}

static const struct export_kind tar_kind = {
	.format = &export_tar,
	.pack = &pack_tar,
	.entries = true,
	.in_place = true,
};

static int tar_open(const struct export_job *job, struct export_target **ret, struct fault *f)
{
	return export_file_open(&tar_kind, job, ret, f);
}

static const struct export_kind tar_zst_kind = {
	.format = &export_tar_zst,
	.pack = &pack_tar_zst,
	.entries = true,
};

static int tar_zst_open(const struct export_job *job, struct export_target **ret, struct fault *f)
{
	return export_file_open(&tar_zst_kind, job, ret, f);
}

static const struct export_kind zip_kind = {
	.format = &export_zip,
	.pack = &pack_zip,
	.entries = true,
	.in_place = true,
};

static int zip_open(const struct export_job *job, struct export_target **ret, struct fault *f)
{
	return export_file_open(&zip_kind, job, ret, f);
}

const struct export_format export_mboxrd = {
	.name = "mboxrd",
	.origin = "format mboxrd\n",
	.splits = EXPORT_SPLITS,
	.open = mboxrd_open,
	.add = export_file_add,
	.stop = export_file_stop,
	.finish = export_file_finish,
	.publish = export_file_publish,
	.close = export_file_close,
};

const struct export_format export_tar = {
	.name = "tar",
	.origin = "format tar\n",
	.splits = EXPORT_SPLITS,
	.open = tar_open,
	.add = export_file_add,
	.stop = export_file_stop,
	.finish = export_file_finish,
	.publish = export_file_publish,
	.close = export_file_close,
};

const struct export_format export_tar_zst = {
	.name = "tar.zst",
	.origin = "format tar.zst\n",
	.splits = EXPORT_SPLITS,
	.open = tar_zst_open,
	.add = export_file_add,
	.stop = export_file_stop,
	.finish = export_file_finish,
	.publish = export_file_publish,
	.close = export_file_close,
};

const struct export_format export_zip = {
	.name = "zip",
	.origin = "format zip\n",
	.splits = EXPORT_SPLITS,
	.open = zip_open,
	.add = export_file_add,
	.stop = export_file_stop,
	.finish = export_file_finish,
	.publish = export_file_publish,
	.close = export_file_close,
};

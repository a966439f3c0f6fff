#include "cli/status.h"

int status_read(
	struct status *ret, struct run *run, const struct report_terms *terms, struct fault *f)
{
	const struct config *config = run->config_broken ? NULL : run->config;

	if (report_read(&ret->report, run->store, config, terms, f) < 0 ||
		store_totals(run->store, &ret->totals, f) < 0 ||
		upkeep_view_read(&ret->upkeep, run->store, config, f) < 0)
		return -1;
	if (!ret->report.served)
		return 0;
	return service_view_read(&ret->service, run, ret->service_notice, f);
}

void status_deinit(struct status *s)
{
	report_deinit(&s->report);
	service_view_deinit(&s->service);
	upkeep_view_deinit(&s->upkeep);
}

int status_verdict(const struct status *s)
{
	const struct report *r = &s->report;
	const struct control_daemon *d = &s->service.daemon;

	if (r->attention || r->disk_full || r->write_failed || s->service_notice[0])
		return STATUS_PARTLY;
	if (upkeep_view_is_ill(&s->upkeep))
		return STATUS_PARTLY;
	if (s->service.runs && (d->config_error[0] || d->disk[0]))
		return STATUS_PARTLY;
	return STATUS_DONE;
}

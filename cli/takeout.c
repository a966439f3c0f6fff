#include "cli/takeout.h"

#include "archive/encoded_word.h"
#include "archive/escape.h"
#include "archive/header.h"

#include <stdbool.h>
#include <strings.h>

/* ---- What a label is ------------------------------------------------------------------------- */

enum label { /* the folders first, in the order in which one of them is chosen */
	LABEL_INBOX,
	LABEL_SENT,
	LABEL_DRAFTS,
	LABEL_SPAM,
	LABEL_TRASH,
	LABEL_CHATS,
	LABEL_FOLDERS,
	LABEL_STARRED = LABEL_FOLDERS,
	LABEL_IMPORTANT,
	LABEL_UNREAD,
	LABEL_NOTHING, /* "Opened", "Archived": what the others say by being there or not */
	LABEL_USER
};

static const char *const folders[LABEL_FOLDERS] = {
	[LABEL_INBOX] = "INBOX",
	[LABEL_SENT] = "Sent",
	[LABEL_DRAFTS] = "Drafts",
	[LABEL_SPAM] = "Spam",
	[LABEL_TRASH] = "Trash",
	[LABEL_CHATS] = "Chats",
};

/* English, German, French, Spanish, Italian, Portuguese, Dutch, Czech. */
static const struct {
	const char *name;
	enum label label;
} known[] = {
	{"Inbox", LABEL_INBOX},
	{"Posteingang", LABEL_INBOX},
	{"Boîte de réception", LABEL_INBOX},
	{"Recibidos", LABEL_INBOX},
	{"Posta in arrivo", LABEL_INBOX},
	{"Caixa de entrada", LABEL_INBOX},
	{"Postvak IN", LABEL_INBOX},
	{"Doručená pošta", LABEL_INBOX},
	{"Sent", LABEL_SENT},
	{"Sent Mail", LABEL_SENT},
	{"Gesendet", LABEL_SENT},
	{"Envoyé", LABEL_SENT},
	{"Envoyés", LABEL_SENT},
	{"Messages envoyés", LABEL_SENT},
	{"Enviado", LABEL_SENT},
	{"Enviados", LABEL_SENT},
	{"Inviati", LABEL_SENT},
	{"Posta inviata", LABEL_SENT},
	{"Verzonden", LABEL_SENT},
	{"Odeslaná pošta", LABEL_SENT},
	{"Odesláno", LABEL_SENT},
	{"Draft", LABEL_DRAFTS},
	{"Drafts", LABEL_DRAFTS},
	{"Entwurf", LABEL_DRAFTS},
	{"Entwürfe", LABEL_DRAFTS},
	{"Brouillon", LABEL_DRAFTS},
	{"Brouillons", LABEL_DRAFTS},
	{"Borrador", LABEL_DRAFTS},
	{"Borradores", LABEL_DRAFTS},
	{"Bozze", LABEL_DRAFTS},
	{"Rascunho", LABEL_DRAFTS},
	{"Rascunhos", LABEL_DRAFTS},
	{"Concepten", LABEL_DRAFTS},
	{"Koncepty", LABEL_DRAFTS},
	{"Spam", LABEL_SPAM},
	{"Junk", LABEL_SPAM},
	{"Trash", LABEL_TRASH},
	{"Bin", LABEL_TRASH},
	{"Papierkorb", LABEL_TRASH},
	{"Corbeille", LABEL_TRASH},
	{"Papelera", LABEL_TRASH},
	{"Cestino", LABEL_TRASH},
	{"Lixeira", LABEL_TRASH},
	{"Lixo", LABEL_TRASH},
	{"Prullenbak", LABEL_TRASH},
	{"Koš", LABEL_TRASH},
	{"Chat", LABEL_CHATS},
	{"Chats", LABEL_CHATS},
	{"Starred", LABEL_STARRED},
	{"Markiert", LABEL_STARRED},
	{"Suivis", LABEL_STARRED},
	{"Messages suivis", LABEL_STARRED},
	{"Destacados", LABEL_STARRED},
	{"Speciali", LABEL_STARRED},
	{"Com estrela", LABEL_STARRED},
	{"Met ster", LABEL_STARRED},
	{"S hvězdičkou", LABEL_STARRED},
	{"Important", LABEL_IMPORTANT},
	{"Wichtig", LABEL_IMPORTANT},
	{"Importants", LABEL_IMPORTANT},
	{"Importante", LABEL_IMPORTANT},
	{"Importantes", LABEL_IMPORTANT},
	{"Importanti", LABEL_IMPORTANT},
	{"Belangrijk", LABEL_IMPORTANT},
	{"Důležité", LABEL_IMPORTANT},
	{"Unread", LABEL_UNREAD},
	{"Ungelesen", LABEL_UNREAD},
	{"Non lus", LABEL_UNREAD},
	{"Non lu", LABEL_UNREAD},
	{"No leído", LABEL_UNREAD},
	{"No leídos", LABEL_UNREAD},
	{"Da leggere", LABEL_UNREAD},
	{"Non letti", LABEL_UNREAD},
	{"Não lida", LABEL_UNREAD},
	{"Não lidas", LABEL_UNREAD},
	{"Não lidos", LABEL_UNREAD},
	{"Ongelezen", LABEL_UNREAD},
	{"Nepřečtené", LABEL_UNREAD},
	{"Opened", LABEL_NOTHING},
	{"Geöffnet", LABEL_NOTHING},
	{"Ouvert", LABEL_NOTHING},
	{"Ouverts", LABEL_NOTHING},
	{"Abierto", LABEL_NOTHING},
	{"Abiertos", LABEL_NOTHING},
	{"Aperto", LABEL_NOTHING},
	{"Aperti", LABEL_NOTHING},
	{"Aberto", LABEL_NOTHING},
	{"Abertos", LABEL_NOTHING},
	{"Geopend", LABEL_NOTHING},
	{"Otevřené", LABEL_NOTHING},
	{"Archived", LABEL_NOTHING},
	{"Archiviert", LABEL_NOTHING},
	{"Archivé", LABEL_NOTHING},
	{"Archivés", LABEL_NOTHING},
	{"Messages archivés", LABEL_NOTHING},
	{"Archivado", LABEL_NOTHING},
	{"Archivados", LABEL_NOTHING},
	{"Archiviato", LABEL_NOTHING},
	{"Archiviati", LABEL_NOTHING},
	{"Arquivado", LABEL_NOTHING},
	{"Arquivados", LABEL_NOTHING},
	{"Gearchiveerd", LABEL_NOTHING},
	{"Archivováno", LABEL_NOTHING},
	{"Muted", LABEL_NOTHING},
	{"Snoozed", LABEL_NOTHING},
};

/* A user's label hardly begins like these with a colon. */
static const char *const categories[] = {"Category Personal", "Category Promotions",
	"Category Social", "Category Updates", "Category Forums", "Category Purchases",
	"Category Reservations", "Category Travel", "Kategorie:", "Catégorie\xc2\xa0:",
	"Catégorie :", "Catégorie:", "Categoría:", "Categoria:", "Categorie:"};

static const char KEYWORD[] = "IMAP_";

static bool begins(struct slice name, const char *text)
{
	size_t n = strlen(text);

	return name.len > 0 && name.len >= n && strncasecmp((const char *)name.data, text, n) == 0;
}

static enum label label_of(struct slice name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (name.len == strlen(known[i].name) && begins(name, known[i].name))
			return known[i].label;
	}
	for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
		if (begins(name, categories[i]))
			return LABEL_NOTHING;
	}
	return LABEL_USER;
}

/* ---- The list -------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct slice rest_of(struct slice text, size_t n)
{
	return slice_of(text.data + n, text.len - n);
}

/* The next name, without its quotes, in *to; text moves behind its comma. */
static int take_label(struct slice *text, struct buffer *to, struct fault *f)
{
	size_t i = 0;

	buffer_clear(to);
	while (i < text->len && is_blank(text->data[i]))
		i++;
	bool quoted = i < text->len && text->data[i] == '"';
	for (i += quoted; i < text->len; i++) {
		uint8_t c = text->data[i];

		if (!quoted && c == ',')
			break;
		if (quoted && c == '"') {
			quoted = i + 1 < text->len && text->data[i + 1] == '"';
			if (!quoted)
				continue;
			i++;
		} else if (quoted && c == '\\' && i + 1 < text->len) {
			c = text->data[++i];
		}
		if (buffer_append(to, &c, 1, f) < 0)
			return -1;
	}
	*text = rest_of(*text, i < text->len ? i + 1 : i);
	while (to->len > 0 && is_blank(to->data[to->len - 1]))
		to->len--;
	return 0;
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* Well-formed UTF-8 without control characters. */
static bool is_text(struct slice name)
{
	uint32_t code;

	for (size_t n, at = 0; at < name.len; at += n) {
		n = utf8_next(rest_of(name, at), &code);
		if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

static bool is_level(struct slice level)
{
	return level.len > 0 && slice_compare(level, slice_text(".")) != 0 &&
	       slice_compare(level, slice_text("..")) != 0;
}

/* The levels of a name that are some, as a folder behind the others in text. */
static int append_folder(struct slice name, struct buffer *text, struct fault *f)
{
	size_t begin = text->len;

	while (name.len > 0) {
		const uint8_t *slash = memchr(name.data, '/', name.len);
		size_t n = slash ? (size_t)(slash - name.data) : name.len;
		struct slice level = slice_of(name.data, n);

		name = rest_of(name, slash ? n + 1 : n);
		if (!is_level(level))
			continue;
		if (text->len > begin && buffer_append(text, "/", 1, f) < 0)
			return -1;
		if ((is_text(level) ? buffer_append(text, level.data, level.len, f)
				    : escape_append(text, level, f)) < 0)
			return -1;
	}
	return buffer_append(text, "", 1, f);
}

static bool has_folder(const struct takeout *t, size_t offset)
{
	const char *name = (const char *)t->text.data + offset;

	for (size_t at = 0; at < offset; at += strlen((const char *)t->text.data + at) + 1) {
		if (strcmp((const char *)t->text.data + at, name) == 0)
			return true;
	}
	return false;
}

/* The folder is t->folder[] later: text moves as it grows. */
static int add_folder(struct takeout *t, struct slice name, struct fault *f)
{
	size_t begin = t->text.len;

	if (t->n == TAKEOUT_FOLDERS || name.len > LIMIT_FOLDER)
		return 0;
	if (append_folder(name, &t->text, f) < 0)
		return -1;
	size_t len = t->text.len - begin - 1;
	if (len == 0 || len > LIMIT_FOLDER || has_folder(t, begin))
		t->text.len = begin;
	else
		t->n++;
	return 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int add_flags(struct mbox_marks *m, const bool has[LABEL_USER], struct fault *f)
{
	static const struct {
		enum label label;
		const char *flag;
	} flags[] = {{LABEL_STARRED, "\\Flagged"}, {LABEL_DRAFTS, "\\Draft"},
		{LABEL_IMPORTANT, "$Important"}};

	if (!has[LABEL_UNREAD] && mbox_marks_add(m, slice_text("\\Seen"), f) < 0)
		return -1;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (has[flags[i].label] && mbox_marks_add(m, slice_text(flags[i].flag), f) < 0)
			return -1;
	}
	return 0;
}

/* The folders of the system come behind the user's. */
static int add_folders(struct takeout *t, const bool has[LABEL_USER], struct fault *f)
{
	size_t at = 0;

	for (int i = 0; i < LABEL_FOLDERS; i++) {
		if (has[i] && add_folder(t, slice_text(folders[i]), f) < 0)
			return -1;
	}
	if (t->n == 0 && add_folder(t, slice_text("Archive"), f) < 0)
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		t->folder[i] = (const char *)t->text.data + at;
		at += strlen(t->folder[i]) + 1;
	}
	return 0;
}

static int read_labels(struct slice text, struct mbox_marks *m, struct takeout *t,
	bool has[static LABEL_USER], struct fault *f)
{
	struct buffer name CLEANUP(buffer_deinit) = buffer_make(HEADER_FIELD_MAX);

	while (text.len > 0) {
		if (take_label(&text, &name, f) < 0)
			return -1;
		struct slice label = buffer_slice(&name);
		enum label kind = label_of(label);
		if (kind != LABEL_USER) {
			has[kind] = true;
		} else if (begins(label, KEYWORD)) {
			if (mbox_marks_add(m, rest_of(label, sizeof KEYWORD - 1), f) < 0)
				return -1;
		} else if (add_folder(t, label, f) < 0) {
			return -1;
		}
	}
	return 0;
}

int takeout_read(struct mbox_marks *m, struct takeout *ret, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(HEADER_FIELD_MAX);
	bool has[LABEL_USER] = {false};

	ret->n = 0;
	ret->text.max = (size_t)TAKEOUT_FOLDERS * 8 * LIMIT_FOLDER;
	buffer_clear(&ret->text);
	if (header_decode(buffer_slice(&m->labels), &text, f) < 0 ||
		read_labels(buffer_slice(&text), m, ret, has, f) < 0 || add_flags(m, has, f) < 0)
		return -1;
	return add_folders(ret, has, f);
}

void takeout_deinit(struct takeout *t)
{
	buffer_deinit(&t->text);
	t->n = 0;
}

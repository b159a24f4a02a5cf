// What can be done with a whole conversation.
import {dropAnswers} from "./answers.js";
import {asked, confirmed} from "./dialog.js";
import {t} from "./i18n.js";
import {deleteConversation, getConversation, putConversation} from "./store.js";
import {exportJson, exportMarkdown} from "./transfer.js";
import {shareConversation} from "./share.js";

export async function renameConversation(conversation) {
    const title = await asked(t("chat.rename"), conversation.title);
    const now = title && await getConversation(conversation.id);
    if (now) await putConversation({...now, title});
}

export async function removeConversation(conversation) {
    const title = conversation.title || t("chat.untitled");
    if (!await confirmed(t("chat.delete"), t("chat.delete.sure", {title}), t("delete"))) return false;
    dropAnswers((message) => message.conversation === conversation.id);
    await deleteConversation(conversation.id);
    return true;
}

export function conversationItems(conversation, removed) {
    return [
        {icon: "edit", label: t("rename"), action: () => renameConversation(conversation)},
        {icon: "share", label: t("chat.share"), action: () => shareConversation(conversation.id)},
        {icon: "download", label: t("chat.export"), action: () => exportJson([conversation.id])},
        {icon: "file", label: t("chat.export.markdown"), action: () => exportMarkdown(conversation.id)},
        {icon: "trash", label: t("chat.delete"), danger: true, action: async () => {
            if (await removeConversation(conversation)) removed();
        }},
    ];
}

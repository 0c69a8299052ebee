/** Whether this process may speak to Google Cloud at all, found out before anything else is done. */
import { PermanentError, messageOf } from "../core/errors.ts";

/** Throws `PermanentError` (`unauthenticated`), with the remedy, where there are no application default credentials that work. */
export async function checkCredentials(): Promise<void> {
  await tokenSource()();
}

/** Tokens by the application default credentials, each used until it expires. Throws as `checkCredentials`. */
export function tokenSource(): () => Promise<string> {
  const open = async () => {
    const { GoogleAuth } = await import("./sdk/auth.ts");
    return new GoogleAuth({ scopes: "https://www.googleapis.com/auth/cloud-platform" });
  };
  let auth: ReturnType<typeof open> | undefined;
  return async () => {
    let token: string | null | undefined;
    try {
      token = await (await (auth ??= open())).getAccessToken();
    } catch (cause) {
      throw noCredentials(messageOf(cause), cause);
    }
    if (typeof token === "string" && token !== "") return token;
    throw noCredentials("they give no token", undefined);
  };
}

function noCredentials(why: string, cause: unknown): PermanentError {
  const [line = ""] = why.split("\n");
  return new PermanentError(
    `there are no credentials for Google Cloud (${line}): run \`gcloud auth application-default login\``,
    { code: "unauthenticated", cause },
  );
}

//! Assets: the currencies of ISO 4217 are built in, others are registered.

use crate::kernel::{Actor, Asset, Context, Error, Result};
use crate::ports::store::{Stored, command};

use super::events::AssetRegistered;
use super::tables::RegisteredAsset;
use super::{LEDGER_ACCOUNTS, Transactions, error};

/// ISO 4217 list one as of 2026, by their minor units. Precious metals, bond units and test codes, which
/// have none, are left out.
const ISO_4217: [(u8, &str); 4] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF \
         CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
         HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU \
         MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR \
         SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED \
         VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// The scale of a currency of ISO 4217.
pub(super) fn iso_4217(code: &str) -> Option<u8> {
    ISO_4217
        .iter()
        .find(|(_, codes)| codes.split_ascii_whitespace().any(|built_in| built_in == code))
        .map(|(scale, _)| *scale)
}

impl Transactions {
    /// Registers an asset. Doing it again is no error; its scale never changes.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_ACCOUNTS`], `ledger.invalid_asset`, `ledger.asset_scale_fixed`.
    pub async fn put_asset(&self, context: &Context, asset: &Asset) -> Result<Asset> {
        context.require(&LEDGER_ACCOUNTS)?;
        let asset = Asset::new(&asset.code, asset.scale)?;
        if let Some(scale) = iso_4217(&asset.code) {
            return if scale == asset.scale { Ok(asset) } else { Err(error::asset_scale_fixed(scale)) };
        }
        let done = command(&self.db, context, "transactions.put_asset", &asset, |mut work| {
            let asset = asset.clone();
            async move {
                let existing = work.load::<RegisteredAsset>(asset.code.clone()).await?;
                match existing.map(|stored| stored.value.0) {
                    Some(existing) if existing != asset => Err(error::asset_scale_fixed(existing.scale)),
                    Some(existing) => work.reply(existing),
                    None => {
                        work.put(&RegisteredAsset(asset.clone()))?;
                        work.publish(&AssetRegistered { code: asset.code.clone(), scale: asset.scale })?;
                        work.reply(asset)
                    }
                }
            }
        });
        Ok(done.await?.value)
    }

    /// Finds an asset by its code. Anybody who is signed in may know which assets there are.
    ///
    /// # Errors
    /// `auth.not_signed_in`, `ledger.asset_not_found`.
    pub async fn read_asset(&self, context: &Context, code: &str) -> Result<Asset> {
        match context.principal.actor {
            Actor::Anonymous => Err(Error::unauthenticated("auth.not_signed_in", "sign in first")),
            _ => self.asset(code).await,
        }
    }

    pub(super) async fn asset(&self, code: &str) -> Result<Asset> {
        let known = iso_4217(code).or_else(|| self.assets.read().get(code).copied());
        if let Some(scale) = known {
            return Asset::new(code, scale);
        }
        // Not even looked up when it cannot be one.
        Asset::new(code, 0).map_err(|_| error::asset_not_found(code))?;
        let stored: Option<Stored<RegisteredAsset>> = self.db.get(code).await?;
        let asset = stored.ok_or_else(|| error::asset_not_found(code))?.value.0;
        self.assets.write().insert(asset.code.clone(), asset.scale);
        Ok(asset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_have_the_minor_units_of_the_standard() {
        for (code, scale) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ZWG", 2), ("BIF", 0)] {
            assert_eq!(iso_4217(code), Some(scale), "{code}");
        }
        // The standard has gold (XAU) and no currency at all (XXX), too: neither has minor units.
        for code in ["", "eur", "EU", "XAU", "XXX", "BTC", "EUR USD"] {
            assert_eq!(iso_4217(code), None, "{code}");
        }
    }

    #[test]
    fn every_code_of_the_table_is_there_once_and_valid() {
        let codes: Vec<&str> =
            ISO_4217.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), codes.len());
        assert!(codes.iter().all(|code| code.len() == 3 && Asset::new(code, 2).is_ok()));
    }
}
